// SPDX-License-Identifier: GPL-2.0-or-later
#include "delay.h"

#include <algorithm>

namespace cmstream {

void DelayMeter::shown(Nanoseconds captured_ns, Nanoseconds now_ns) {
    delays_ns_[count_ % kFrames] = now_ns - captured_ns;
    shown_ns_[count_ % kFrames] = now_ns;
    ++count_;
}

double DelayMeter::delay_ms() const {
    if (count_ == 0)
        return 0;
    auto sorted = delays_ns_;
    const auto middle = sorted.begin() + static_cast<std::ptrdiff_t>(held() / 2);
    std::nth_element(sorted.begin(), middle, sorted.begin() + static_cast<std::ptrdiff_t>(held()));
    return static_cast<double>(*middle) / 1e6;
}

double DelayMeter::rate_hz() const {
    if (count_ < 2)
        return 0;
    const Nanoseconds newest = shown_ns_[(count_ - 1) % kFrames];
    const Nanoseconds oldest = shown_ns_[count_ <= kFrames ? 0 : count_ % kFrames];
    return newest == oldest ? 0 : static_cast<double>(held() - 1) * 1e9 / static_cast<double>(newest - oldest);
}

}  // namespace cmstream
