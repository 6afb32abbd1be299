// SPDX-License-Identifier: GPL-2.0-or-later
#include "filter.h"

#include <algorithm>
#include <cmath>

#include "properties.h"
#include "settings.h"
#include "text.h"

namespace cmstream {

namespace {

constexpr float kReportEveryS = 5;
constexpr double kWorthReporting = 0.2;  // a change of the delay by this share

class Graphics {
  public:
    Graphics() { obs_enter_graphics(); }
    ~Graphics() { obs_leave_graphics(); }
    Graphics(const Graphics&) = delete;
    Graphics& operator=(const Graphics&) = delete;
};

Size size_of(obs_source_t* target) {
    if (target == nullptr)
        return {};
    return {obs_source_get_base_width(target), obs_source_get_base_height(target)};
}

Filter& filter(void* data) { return *static_cast<Filter*>(data); }

}  // namespace

obs_source_info filter_info() {
    obs_source_info info{};
    info.id = "cmstream_style";
    info.type = OBS_SOURCE_TYPE_FILTER;
    info.output_flags = OBS_SOURCE_VIDEO | OBS_SOURCE_SRGB;
    info.get_name = [](void*) { return text("Name"); };
    info.create = [](obs_data_t* settings, obs_source_t* source) -> void* { return new Filter(settings, source); };
    info.destroy = [](void* data) { delete static_cast<Filter*>(data); };
    info.get_defaults = setting::set_defaults;
    info.get_properties = [](void* data) { return filter(data).properties(); };
    info.update = [](void* data, obs_data_t* settings) { filter(data).update(settings); };
    info.video_tick = [](void* data, float seconds) { filter(data).tick(seconds); };
    info.video_render = [](void* data, gs_effect_t*) { filter(data).render(); };
    return info;
}

Filter::Filter(obs_data_t* settings, obs_source_t* source)
    : source_(source),
      stage_(std::make_unique<Stage>()),
      screen_(std::make_unique<Screen>()),
      link_(setting::options_of(settings), listener()) {
    size_px_ = static_cast<std::uint32_t>(std::max(0LL, obs_data_get_int(settings, setting::kSizePx)));
}

Filter::~Filter() {
    const Graphics graphics;
    stage_.reset();
    screen_.reset();
}

void Filter::update(obs_data_t* settings) {
    size_px_ = static_cast<std::uint32_t>(std::max(0LL, obs_data_get_int(settings, setting::kSizePx)));
    link_.configure(setting::options_of(settings));
}

void Filter::tick(float seconds) {
    if (!has_rendered_)
        stage_->forget();  // nobody looked: what was captured before is of the past
    has_rendered_ = false;
    hotkey_.join(obs_filter_get_parent(source_));
    report(seconds);
}

void Filter::render() {
    const Size source = size_of(obs_filter_get_target(source_));
    if (!has_rendered_) {
        has_rendered_ = true;
        step(source);
    }
    if (passes_ || screen_->is_empty() || source.width_px == 0)
        obs_source_skip_video_filter(source_);
    else
        screen_->draw(source);
}

// Once a frame: take what came, send what is to be seen.
void Filter::step(Size source) {
    View view = link_.look();
    if (view.styled != nullptr) {
        screen_->show(*view.styled);
        link_.shown(std::move(view.styled));
    }
    if (!view.is_open)
        screen_->clear();
    passes_ = hotkey_.is_bypassed() || view.is_stalled;
    if (view.is_open && !hotkey_.is_bypassed() && source.width_px > 0 && source.height_px > 0)
        exchange(view, source);
    else
        stage_->forget();
}

// The frame that was begun the last time goes to the link, this one is begun.
void Filter::exchange(const View& view, Size source) {
    auto picture = link_.blank();
    if (picture != nullptr && stage_->collect(*picture))
        link_.offer(std::move(picture));
    const std::uint32_t wanted =
        size_px_ == 0 ? view.working_size_px : std::min<std::uint32_t>(size_px_, view.working_size_px);
    stage_->capture(source_, source, working_size(source, wanted));
}

obs_properties_t* Filter::properties() const { return properties_of(link_, source_); }

Listener Filter::listener() {
    // Properties are read anew only when there is something to offer: a dialog that is typed into is left alone.
    return {[this](const std::string& line) { log(line); },
            [this] {
                const Status status = link_.status();
                if (status.is_connected) {
                    log(status.text);
                    obs_source_update_properties(source_);
                }
            }};
}

// The delay goes into the log when it is first known, and when it has changed by much.
void Filter::report(float seconds) {
    since_report_s_ += seconds;
    if (since_report_s_ < kReportEveryS)
        return;
    since_report_s_ = 0;
    const double delay_ms = link_.delay_ms();
    if (delay_ms == 0 || std::abs(delay_ms - reported_ms_) < kWorthReporting * reported_ms_)
        return;
    reported_ms_ = delay_ms;
    log("delay " + std::to_string(std::lround(delay_ms)) + " ms, " + std::to_string(std::lround(link_.rate_hz())) +
        " pictures a second");
}

void Filter::log(const std::string& line) const {
    blog(LOG_INFO, "[cmstream] '%s': %s", obs_source_get_name(source_), line.c_str());
}

}  // namespace cmstream
