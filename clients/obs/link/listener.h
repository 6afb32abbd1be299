// SPDX-License-Identifier: GPL-2.0-or-later
// Who hears what becomes of a link.
#pragma once

#include <functional>
#include <string>

namespace cmstream {

// What a link tells its owner, from its own threads. Both return at once.
struct Listener {
    std::function<void(const std::string& line)> log;
    std::function<void()> status_changed;
};

}  // namespace cmstream
