// SPDX-License-Identifier: GPL-2.0-or-later
// From memory to the GPU: the newest styled picture as a texture, drawn in place of the source.
// Render thread only, in the graphics context.
#pragma once

#include <obs-module.h>

#include "geometry.h"
#include "picture.h"

namespace cmstream {

class Screen {
  public:
    Screen() = default;
    ~Screen();
    Screen(const Screen&) = delete;
    Screen& operator=(const Screen&) = delete;

    // This picture from now on.
    void show(const Picture& picture);

    // Nothing from now on.
    void clear() { is_empty_ = true; }

    bool is_empty() const { return is_empty_; }

    // Draw it over the whole of a source of this size.
    void draw(Size source) const;

  private:
    gs_texture_t* texture_ = nullptr;
    Size size_;
    bool is_empty_ = true;
};

}  // namespace cmstream
