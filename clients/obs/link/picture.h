// SPDX-License-Identifier: GPL-2.0-or-later
// A picture in memory and the planes it is made of. Pure; runs on any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace cmstream {

// Nanoseconds of the steady clock, the one clock of the plugin.
using Nanoseconds = std::uint64_t;
Nanoseconds now_ns();

// Rows from top to bottom without padding, 4 bytes a pixel: R, G, B and straight alpha.
struct Picture {
    std::uint32_t width_px = 0;
    std::uint32_t height_px = 0;
    std::vector<std::uint8_t> rgba;
    Nanoseconds captured_ns = 0;  // when OBS rendered what it shows

    // Give it a size; keeps its memory where that suffices.
    void resize(std::uint32_t width, std::uint32_t height);
};

// One byte a pixel: the alpha of a picture that is not opaque throughout.
struct Alpha {
    std::uint32_t width_px = 0;
    std::uint32_t height_px = 0;
    std::vector<std::uint8_t> values;
};

// The alpha of a picture; nothing where every pixel is opaque.
std::optional<Alpha> alpha_of(const Picture& picture);

// Rows of 3 bytes a pixel, as PIXEL_FORMAT_RGB24 has them.
std::string rgb24_of(const Picture& picture);

// Fill `picture`, which has its size, from RGB24 of the same size; opaque.
void fill_from_rgb24(Picture& picture, const std::string& rgb24);

// Put an alpha of any size over a picture, by bilinear interpolation.
void apply(const Alpha& alpha, Picture& picture);

}  // namespace cmstream
