// SPDX-License-Identifier: GPL-2.0-or-later
// From the GPU to memory, without waiting: a source is rendered to a texture, whose transfer into one of two surfaces
// ends while the next frame is rendered, and is fetched with that. Render thread only, in the graphics context.
#pragma once

#include <obs-module.h>

#include <array>

#include "geometry.h"
#include "picture.h"

namespace cmstream {

class Stage {
  public:
    Stage() = default;
    ~Stage();
    Stage(const Stage&) = delete;
    Stage& operator=(const Stage&) = delete;

    // Render what `filter` filters, of `source` size, at `working` size, and begin its transfer.
    void capture(obs_source_t* filter, Size source, Size working);

    // Fetch what the capture before the last one began. False where there is none, or another size has begun since.
    bool collect(Picture& picture);

    // Forget what is under way: what was captured before a pause is not worth sending.
    void forget();

  private:
    struct Surface {
        gs_stagesurf_t* surface = nullptr;
        Nanoseconds captured_ns = 0;  // 0: nothing in it
    };

    void fit(Size working);
    bool render(obs_source_t* filter, Size source, Size target, gs_texrender_t* into);
    bool shrink(gs_texture_t* texture, Size target);

    gs_texrender_t* whole_ = nullptr;    // at the source's size; only where it is more than twice the working size
    gs_texrender_t* working_ = nullptr;  // what is transferred
    std::array<Surface, 2> surfaces_;
    std::size_t next_ = 0;
    Size size_;
};

}  // namespace cmstream
