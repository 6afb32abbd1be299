// SPDX-License-Identifier: GPL-2.0-or-later
#include "backoff.h"

#include <algorithm>

namespace cmstream {

std::chrono::milliseconds Backoff::next() {
    const auto wait = wait_;
    wait_ = std::min(2 * wait_, kLongest);
    std::uniform_int_distribution<long> less(0, wait.count() / 4);
    return wait - std::chrono::milliseconds(less(random_));
}

}  // namespace cmstream
