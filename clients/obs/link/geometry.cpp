// SPDX-License-Identifier: GPL-2.0-or-later
#include "geometry.h"

#include <algorithm>
#include <cmath>

namespace cmstream {

namespace {

constexpr std::uint32_t kSmallestSidePx = 16;

std::uint32_t even(double side_px) {
    // nearbyint rounds halves to even, as Python's round does.
    return std::max(kSmallestSidePx, 2 * static_cast<std::uint32_t>(std::nearbyint(side_px / 2)));
}

}  // namespace

Size working_size(Size source, std::uint32_t side_px) {
    const double area = static_cast<double>(source.width_px) * source.height_px;
    const double scale = std::min(1.0, side_px / std::sqrt(area));
    return {even(source.width_px * scale), even(source.height_px * scale)};
}

}  // namespace cmstream
