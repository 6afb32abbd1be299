// SPDX-License-Identifier: GPL-2.0-or-later
#include "screen.h"

namespace cmstream {

Screen::~Screen() { gs_texture_destroy(texture_); }

void Screen::show(const Picture& picture) {
    const Size size{picture.width_px, picture.height_px};
    if (texture_ == nullptr || size_ != size) {
        gs_texture_destroy(texture_);
        texture_ = gs_texture_create(size.width_px, size.height_px, GS_RGBA, 1, nullptr, GS_DYNAMIC);
        size_ = size;
    }
    is_empty_ = texture_ == nullptr;
    if (!is_empty_)
        gs_texture_set_image(texture_, picture.rgba.data(), size.width_px * 4, false);
}

void Screen::draw(Size source) const {
    gs_effect_t* effect = obs_get_base_effect(OBS_EFFECT_DEFAULT);
    gs_eparam_t* image = gs_effect_get_param_by_name(effect, "image");
    const bool linear = gs_get_linear_srgb();
    const bool before = gs_framebuffer_srgb_enabled();
    gs_enable_framebuffer_srgb(linear);
    if (linear)
        gs_effect_set_texture_srgb(image, texture_);
    else
        gs_effect_set_texture(image, texture_);
    while (gs_effect_loop(effect, "Draw"))
        gs_draw_sprite(texture_, 0, source.width_px, source.height_px);
    gs_enable_framebuffer_srgb(before);
}

}  // namespace cmstream
