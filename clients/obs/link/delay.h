// SPDX-License-Identifier: GPL-2.0-or-later
// The styling delay: from rendering a frame in OBS to showing its styled twin. Pure; one thread.
#pragma once

#include <array>
#include <cstddef>

#include "picture.h"

namespace cmstream {

class DelayMeter {
  public:
    // A styled picture is shown for the first time.
    void shown(Nanoseconds captured_ns, Nanoseconds now_ns);

    // The median of the last frames, 0 before the first; what sound has to be delayed by.
    double delay_ms() const;

    // Styled pictures a second over the last frames; 0 before the second.
    double rate_hz() const;

    void reset() { count_ = 0; }

  private:
    static constexpr std::size_t kFrames = 60;

    std::size_t held() const { return count_ < kFrames ? count_ : kFrames; }

    std::array<Nanoseconds, kFrames> delays_ns_{};
    std::array<Nanoseconds, kFrames> shown_ns_{};
    std::size_t count_ = 0;
};

}  // namespace cmstream
