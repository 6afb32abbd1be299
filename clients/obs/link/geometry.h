// SPDX-License-Identifier: GPL-2.0-or-later
// Which size a picture is sent at. Pure.
#pragma once

#include <cstdint>

namespace cmstream {

struct Size {
    std::uint32_t width_px = 0;
    std::uint32_t height_px = 0;

    bool operator==(const Size& other) const { return width_px == other.width_px && height_px == other.height_px; }
    bool operator!=(const Size& other) const { return !(*this == other); }
};

// The area of a square of `side_px` with the aspect of `source`, even sides, never an enlargement: the rule by which
// the server chooses its working size too (cmstream/core/geometry.py), so that nothing is sent that it would shrink.
Size working_size(Size source, std::uint32_t side_px);

}  // namespace cmstream
