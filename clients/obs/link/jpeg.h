// SPDX-License-Identifier: GPL-2.0-or-later
// JPEG files ⇄ pictures, with hostile bytes in mind. Any thread, one instance each.
#pragma once

#include <memory>
#include <string>

#include "picture.h"

namespace cmstream {

class Jpeg {
  public:
    Jpeg();

    // A baseline JPEG (4:2:0) of the picture without its alpha; `quality` is 1 to 100. Throws std::runtime_error.
    std::string encode(const Picture& picture, int quality);

    // The file as an opaque picture. Throws std::runtime_error where it is damaged, or larger than `max_side_px`: by
    // its header, before memory is taken.
    void decode(const std::string& file, std::uint32_t max_side_px, Picture& picture);

  private:
    struct Destroyed {
        void operator()(void* codec) const;
    };
    using Codec = std::unique_ptr<void, Destroyed>;

    Codec encoder_;
    Codec decoder_;
};

}  // namespace cmstream
