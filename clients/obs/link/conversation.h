// SPDX-License-Identifier: GPL-2.0-or-later
// The protocol of one stream as a client sees it, without input or output. Whoever shares it guards it.
#pragma once

#include <deque>
#include <optional>

#include "capabilities.h"
#include "picture.h"

namespace cmstream {

namespace v1 {
class StreamOpened;
}

// A source frame that has no answer yet.
struct Asked {
    std::uint64_t frame_id = 0;
    Nanoseconds captured_ns = 0;
    Nanoseconds sent_ns = 0;
    std::optional<Alpha> alpha;
};

class Conversation {
  public:
    // The server's answer to OpenStream: frames may follow.
    void opened(const v1::StreamOpened& message);

    bool is_open() const { return open_; }
    const Limits& limits() const { return limits_; }

    // Whether one more frame fits the window that the server asked for.
    bool has_room() const { return open_ && asked_.size() < limits_.window_frames; }

    // A frame is about to be sent: its id.
    std::uint64_t send(Nanoseconds captured_ns, Nanoseconds sent_ns, std::optional<Alpha> alpha);

    // What was asked with this id, which now has its answer. Nothing for ids that were never sent, or twice answered.
    std::optional<Asked> answer(std::uint64_t frame_id);

    // When the oldest frame without an answer was sent; 0 where there is none.
    Nanoseconds waiting_since_ns() const { return asked_.empty() ? 0 : asked_.front().sent_ns; }

  private:
    bool open_ = false;
    Limits limits_;
    std::uint64_t next_frame_id_ = 0;
    std::deque<Asked> asked_;  // in order of their ids; at most a window of them
};

}  // namespace cmstream
