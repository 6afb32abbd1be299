// SPDX-License-Identifier: GPL-2.0-or-later
// Ten times what people do with filters, without OBS: add two to a running server, scene switches, other sizes, other
// parameters, a server that is away, remove them in full flow. Prints one line of figures; exit 1 where a promise
// broke.
//
//   cycles ADDRESS AWAY    AWAY is an address where nobody listens; the server at ADDRESS inverts colours
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <stdexcept>
#include <thread>
#include <vector>

#include "link.h"

namespace {

using cmstream::Link;
using cmstream::Options;
using cmstream::Picture;

constexpr int kCycles = 10;
constexpr int kFramesWanted = 5;
constexpr std::chrono::milliseconds kFrame{16};
constexpr std::chrono::seconds kPatience{20};

void require(bool holds, const char* what) {
    if (!holds)
        throw std::runtime_error(what);
}

// What OBS's render thread does with one filter, once a frame; and how long the longest call of the link took.
class Source {
  public:
    Source(const Options& options, std::uint32_t width_px, std::uint32_t height_px)
        : width_px_(width_px),
          height_px_(height_px),
          link_(options, {[](const std::string& line) { std::fprintf(stderr, "%s\n", line.c_str()); }, [] {}}) {}

    Link& link() { return link_; }
    int styled() const { return styled_; }
    bool is_open() const { return is_open_; }
    const std::vector<std::int64_t>& took_ns() const { return took_ns_; }

    void resize(std::uint32_t width_px, std::uint32_t height_px) {
        width_px_ = width_px;
        height_px_ = height_px;
    }

    template <typename Called>
    auto timed(const Called& call) {
        const auto start = std::chrono::steady_clock::now();
        auto result = call();
        took_ns_.push_back((std::chrono::steady_clock::now() - start).count());
        return result;
    }

    void render() {
        cmstream::View view = timed([&] { return link_.look(); });
        is_open_ = view.is_open;
        if (view.styled != nullptr) {
            check(*view.styled);
            ++styled_;
            timed([&] {
                link_.shown(std::move(view.styled));
                return 0;
            });
        }
        if (view.is_open)
            send();
    }

  private:
    void send() {
        auto picture = timed([&] { return link_.blank(); });
        if (picture == nullptr)
            return;
        picture->resize(width_px_, height_px_);
        const auto level = static_cast<std::uint8_t>(100 + frame_++ % 100);
        for (std::size_t at = 0; at < picture->rgba.size(); ++at)
            picture->rgba[at] = at % 4 == 3 ? 128 : level;  // half transparent
        picture->captured_ns = cmstream::now_ns();
        timed([&] {
            link_.offer(std::move(picture));
            return 0;
        });
    }

    // Of an inverting server: every level 255 minus one that was sent, the alpha as it was sent.
    static void check(const Picture& picture) {
        require(picture.rgba.size() == std::size_t{picture.width_px} * picture.height_px * 4,
                "a picture has all its bytes");
        const std::size_t middle = picture.rgba.size() / 2 / 4 * 4;  // below the label
        const int level = picture.rgba[middle];
        require(level >= 255 - 200 && level <= 255 - 100, "a picture is the inverse of what was sent");
        require(picture.rgba[middle + 3] == 128, "a picture has its source's alpha");
    }

    std::uint32_t width_px_;
    std::uint32_t height_px_;
    int frame_ = 0;
    int styled_ = 0;
    bool is_open_ = false;
    std::vector<std::int64_t> took_ns_;
    Link link_;
};

void render_until(const std::function<bool()>& reached, std::vector<Source*> sources, const char* what) {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (!reached()) {
        require(std::chrono::steady_clock::now() < deadline, what);
        for (Source* source : sources)
            source->render();
        std::this_thread::sleep_for(kFrame);
    }
}

void cycle(const std::string& address, const std::string& away, int number, std::vector<std::int64_t>& took_ns) {
    Options raw;
    raw.address = address;
    raw.params = {{"strength", 1.0}, {"of_another_model", std::string("kept out")}};
    Options jpeg = raw;
    jpeg.transport = cmstream::PixelTransport::jpeg;
    Source first(raw, 320, 180);
    Source second(jpeg, 256, 256);
    render_until([&] { return first.styled() >= kFramesWanted && second.styled() >= kFramesWanted; }, {&first, &second},
                 "both sources are styled");

    std::this_thread::sleep_for(5 * kFrame);  // another scene: nobody renders these
    first.resize(180, 320);
    raw.params["seed"] = 0.0;
    raw.shows_delay = number % 2 == 0;
    first.link().configure(raw);
    const int before = first.styled();
    render_until([&] { return first.styled() >= before + kFramesWanted; }, {&first, &second},
                 "styled after the switch");
    require(first.link().delay_ms() > 0, "the delay is measured");

    Options gone = jpeg;
    gone.address = away;
    second.link().configure(gone);
    render_until([&] { return !second.is_open(); }, {&first, &second}, "passes through where there is no server");
    if (number % 2 == 0) {
        const int until = second.styled();
        second.link().configure(jpeg);
        render_until([&] { return second.styled() > until; }, {&first, &second}, "styled again");
    }
    for (Source* source : {&first, &second})
        took_ns.insert(took_ns.end(), source->took_ns().begin(), source->took_ns().end());
}  // both end with frames on their way, one of them while it connects

}  // namespace

int main(int count, char** arguments) {
    if (count != 3) {
        std::fprintf(stderr, "usage: cycles ADDRESS AWAY\n");
        return 2;
    }
    std::vector<std::int64_t> took_ns;
    try {
        for (int number = 0; number < kCycles; ++number)
            cycle(arguments[1], arguments[2], number, took_ns);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "broken: %s\n", error.what());
        return 1;
    }
    std::sort(took_ns.begin(), took_ns.end());
    std::printf("{\"cycles\": %d, \"calls\": %zu, \"median_us\": %.1f, \"p99_us\": %.1f}\n", kCycles, took_ns.size(),
                static_cast<double>(took_ns[took_ns.size() / 2]) / 1000,
                static_cast<double>(took_ns[took_ns.size() * 99 / 100]) / 1000);
    return 0;
}
