// SPDX-License-Identifier: GPL-2.0-or-later
// A line of figures drawn over a picture. Pure.
#pragma once

#include <string>

#include "picture.h"

namespace cmstream {

// "87 ms  24 fps", as much as fits, white on black in the upper left corner. Knows digits, spaces and the letters of
// "ms" and "fps"; others are left blank.
void draw_label(Picture& picture, const std::string& text);

}  // namespace cmstream
