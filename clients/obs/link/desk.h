// SPDX-License-Identifier: GPL-2.0-or-later
// What the render thread, the worker and its reader share: one newest picture each way, what is wanted, and how it
// stands.
//
// All of it is guarded by `mutex`, which is held for moving pointers and for small copies only, never while waiting for
// anybody. The render thread does not even wait for that: it tries, and comes again with the next frame.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "capabilities.h"
#include "options.h"
#include "picture.h"

namespace cmstream {

// How a link stands, for people.
struct Status {
    bool is_connected = false;
    std::string text;                                  // one line: what is, or what to do
    std::string stream;                                // its name on the server
    std::shared_ptr<const Capabilities> capabilities;  // of the last server that answered; null before
};

struct Desk {
    std::mutex mutex;
    std::condition_variable changed;  // something below has: the worker looks again

    Options options;
    bool is_stopping = false;
    bool is_open = false;               // frames may be offered
    std::uint32_t working_size_px = 0;  // of the server; set while open
    Nanoseconds waiting_since_ns = 0;   // when the oldest frame without an answer was sent; 0: there is none
    std::unique_ptr<Picture> source;    // the newest, not yet sent
    std::unique_ptr<Picture> styled;    // the newest, not yet shown
    double delay_ms = 0;                // measured where frames are shown
    double rate_hz = 0;
    Status status;
    std::function<void()> cancel;  // ends the call that is under way

    // A picture to fill, one that was used before where there is one. With the mutex held.
    std::unique_ptr<Picture> blank() {
        if (spare_.empty())
            return std::make_unique<Picture>();
        auto picture = std::move(spare_.back());
        spare_.pop_back();
        return picture;
    }

    // Nobody needs this picture any more; null is fine. With the mutex held.
    void keep(std::unique_ptr<Picture> picture) {
        if (picture != nullptr && spare_.size() < kSpare)
            spare_.push_back(std::move(picture));
    }

  private:
    static constexpr std::size_t kSpare = 4;
    std::vector<std::unique_ptr<Picture>> spare_;
};

}  // namespace cmstream
