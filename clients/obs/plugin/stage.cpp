// SPDX-License-Identifier: GPL-2.0-or-later
#include "stage.h"

#include <graphics/vec4.h>

#include <cstring>

namespace cmstream {

namespace {

// Straight bytes, not light: what is staged is what the source shows, and models are trained on bytes.
class PlainColours {
  public:
    PlainColours() : linear_(gs_set_linear_srgb(false)), framebuffer_(gs_framebuffer_srgb_enabled()) {
        gs_enable_framebuffer_srgb(false);
        gs_blend_state_push();
        gs_blend_function(GS_BLEND_ONE, GS_BLEND_ZERO);
    }
    ~PlainColours() {
        gs_blend_state_pop();
        gs_enable_framebuffer_srgb(framebuffer_);
        gs_set_linear_srgb(linear_);
    }
    PlainColours(const PlainColours&) = delete;
    PlainColours& operator=(const PlainColours&) = delete;

  private:
    bool linear_;
    bool framebuffer_;
};

bool begin(gs_texrender_t* target, Size size, Size drawn) {
    gs_texrender_reset(target);
    if (!gs_texrender_begin_with_color_space(target, size.width_px, size.height_px, GS_CS_SRGB))
        return false;
    vec4 nothing;
    vec4_zero(&nothing);
    gs_clear(GS_CLEAR_COLOR, &nothing, 0.0F, 0);
    gs_ortho(0.0F, static_cast<float>(drawn.width_px), 0.0F, static_cast<float>(drawn.height_px), -100.0F, 100.0F);
    return true;
}

// The filter's target as OBS draws it: one without effects of its own is drawn by OBS's, all others draw themselves.
void draw_target(obs_source_t* filter) {
    obs_source_t* target = obs_filter_get_target(filter);
    const std::uint32_t flags = obs_source_get_output_flags(target);
    const bool draws_itself = (flags & (OBS_SOURCE_CUSTOM_DRAW | OBS_SOURCE_ASYNC)) != 0;
    if (target == obs_filter_get_parent(filter) && !draws_itself)
        obs_source_default_render(target);
    else
        obs_source_video_render(target);
}

void copy_rows(const std::uint8_t* from, std::uint32_t bytes_per_row, Picture& picture) {
    const std::size_t row = std::size_t{picture.width_px} * 4;
    for (std::uint32_t y = 0; y < picture.height_px; ++y)
        std::memcpy(&picture.rgba[y * row], from + std::size_t{y} * bytes_per_row, row);
}

}  // namespace

Stage::~Stage() {
    gs_texrender_destroy(whole_);
    gs_texrender_destroy(working_);
    for (Surface& surface : surfaces_)
        gs_stagesurface_destroy(surface.surface);
}

void Stage::capture(obs_source_t* filter, Size source, Size working) {
    fit(working);
    const PlainColours plain;
    // Bilinear sampling sees two pixels: below half the size it would miss some, and the picture would shimmer.
    const bool shrinks_much = working.width_px * 2 < source.width_px;
    if (shrinks_much) {
        if (whole_ == nullptr)
            whole_ = gs_texrender_create(GS_RGBA, GS_ZS_NONE);
        if (!render(filter, source, source, whole_) || !shrink(gs_texrender_get_texture(whole_), working))
            return;
    } else if (!render(filter, source, working, working_)) {
        return;
    }
    Surface& surface = surfaces_[next_];
    gs_stage_texture(surface.surface, gs_texrender_get_texture(working_));
    surface.captured_ns = now_ns();
    next_ = 1 - next_;
}

bool Stage::collect(Picture& picture) {
    Surface& surface = surfaces_[1 - next_];  // the one that was filled last
    std::uint8_t* data = nullptr;
    std::uint32_t bytes_per_row = 0;
    if (surface.captured_ns == 0 || !gs_stagesurface_map(surface.surface, &data, &bytes_per_row))
        return false;
    picture.resize(size_.width_px, size_.height_px);
    copy_rows(data, bytes_per_row, picture);
    gs_stagesurface_unmap(surface.surface);
    picture.captured_ns = surface.captured_ns;
    surface.captured_ns = 0;
    return true;
}

void Stage::forget() {
    for (Surface& surface : surfaces_)
        surface.captured_ns = 0;
}

void Stage::fit(Size working) {
    if (working_ == nullptr)
        working_ = gs_texrender_create(GS_RGBA, GS_ZS_NONE);
    if (size_ == working)
        return;
    size_ = working;
    for (Surface& surface : surfaces_) {
        gs_stagesurface_destroy(surface.surface);
        surface.surface = gs_stagesurface_create(working.width_px, working.height_px, GS_RGBA);
        surface.captured_ns = 0;
    }
}

bool Stage::render(obs_source_t* filter, Size source, Size target, gs_texrender_t* into) {
    if (!begin(into, target, source))
        return false;
    draw_target(filter);
    gs_texrender_end(into);
    return true;
}

bool Stage::shrink(gs_texture_t* texture, Size target) {
    if (texture == nullptr || !begin(working_, target, target))
        return false;
    gs_effect_t* effect = obs_get_base_effect(OBS_EFFECT_BILINEAR_LOWRES);
    gs_effect_set_texture(gs_effect_get_param_by_name(effect, "image"), texture);
    while (gs_effect_loop(effect, "Draw"))
        gs_draw_sprite(texture, 0, target.width_px, target.height_px);
    gs_texrender_end(working_);
    return true;
}

}  // namespace cmstream
