// SPDX-License-Identifier: GPL-2.0-or-later
#include "picture.h"

#include <algorithm>
#include <chrono>

namespace cmstream {

namespace {

constexpr std::uint8_t kOpaque = 255;

// Where pixel `at` of `length` lies on an axis of `source_length`: two neighbours, and the share of the second.
struct Between {
    std::uint32_t first;
    std::uint32_t second;
    float share;
};

Between between(std::uint32_t at, std::uint32_t length, std::uint32_t source_length) {
    const float centre = (at + 0.5F) * source_length / length - 0.5F;
    const float clamped = std::clamp(centre, 0.0F, static_cast<float>(source_length - 1));
    const auto first = static_cast<std::uint32_t>(clamped);
    return {first, std::min(first + 1, source_length - 1), clamped - static_cast<float>(first)};
}

}  // namespace

Nanoseconds now_ns() {
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    return static_cast<Nanoseconds>(std::chrono::duration_cast<std::chrono::nanoseconds>(now).count());
}

void Picture::resize(std::uint32_t width, std::uint32_t height) {
    width_px = width;
    height_px = height;
    rgba.resize(std::size_t{width} * height * 4);
}

std::optional<Alpha> alpha_of(const Picture& picture) {
    std::uint8_t all = kOpaque;
    for (std::size_t at = 3; at < picture.rgba.size(); at += 4)
        all &= picture.rgba[at];
    if (all == kOpaque)
        return std::nullopt;
    Alpha alpha{picture.width_px, picture.height_px, {}};
    alpha.values.resize(picture.rgba.size() / 4);
    for (std::size_t at = 0; at < alpha.values.size(); ++at)
        alpha.values[at] = picture.rgba[4 * at + 3];
    return alpha;
}

std::string rgb24_of(const Picture& picture) {
    const std::size_t pixels = picture.rgba.size() / 4;
    std::string rgb24(pixels * 3, '\0');
    const auto* from = picture.rgba.data();
    auto* to = reinterpret_cast<std::uint8_t*>(rgb24.data());
    for (std::size_t at = 0; at < pixels; ++at, from += 4, to += 3) {
        to[0] = from[0];
        to[1] = from[1];
        to[2] = from[2];
    }
    return rgb24;
}

void fill_from_rgb24(Picture& picture, const std::string& rgb24) {
    const std::size_t pixels = picture.rgba.size() / 4;
    const auto* from = reinterpret_cast<const std::uint8_t*>(rgb24.data());
    auto* to = picture.rgba.data();
    for (std::size_t at = 0; at < pixels; ++at, from += 3, to += 4) {
        to[0] = from[0];
        to[1] = from[1];
        to[2] = from[2];
        to[3] = kOpaque;
    }
}

void apply(const Alpha& alpha, Picture& picture) {
    for (std::uint32_t y = 0; y < picture.height_px; ++y) {
        const Between row = between(y, picture.height_px, alpha.height_px);
        const auto* upper = &alpha.values[std::size_t{row.first} * alpha.width_px];
        const auto* lower = &alpha.values[std::size_t{row.second} * alpha.width_px];
        auto* to = &picture.rgba[std::size_t{y} * picture.width_px * 4 + 3];
        for (std::uint32_t x = 0; x < picture.width_px; ++x, to += 4) {
            const Between column = between(x, picture.width_px, alpha.width_px);
            const float above = upper[column.first] + column.share * (upper[column.second] - upper[column.first]);
            const float below = lower[column.first] + column.share * (lower[column.second] - lower[column.first]);
            *to = static_cast<std::uint8_t>(above + row.share * (below - above) + 0.5F);
        }
    }
}

}  // namespace cmstream
