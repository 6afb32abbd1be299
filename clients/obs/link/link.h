// SPDX-License-Identifier: GPL-2.0-or-later
// A filter's link to a server: frames in, styled frames out, by a worker thread that connects, and connects again.
//
// The render thread calls offer() and look(), which never wait: not for the network, not for the worker, not for a
// lock.
#pragma once

#include <memory>
#include <string>
#include <thread>

#include "backoff.h"
#include "delay.h"
#include "desk.h"
#include "listener.h"

namespace cmstream {

// What the render thread has to know, once a frame.
struct View {
    bool is_open = false;               // frames may be offered
    bool is_stalled = false;            // the server has not answered for so long that its last picture is of no use
    std::uint32_t working_size_px = 0;  // larger frames would be made smaller by the server
    std::unique_ptr<Picture> styled;    // a new one, or null
};

class Link {
  public:
    // Longer without an answer, and the source is shown as it is.
    static constexpr Nanoseconds kStalledAfterNs = 2'000'000'000;

    // `listener` is called on the link's own threads, never after the destructor.
    Link(Options options, Listener listener);
    // Cancels what is under way and waits for the worker, some milliseconds.
    ~Link();
    Link(const Link&) = delete;
    Link& operator=(const Link&) = delete;

    // Other options: parameters at once, an address by another call. Any thread.
    void configure(const Options& options);

    // How it stands. Any thread.
    Status status() const;
    double delay_ms() const;
    double rate_hz() const;

    // The rest is the render thread's.

    // A picture to fill, or null while there is a queue for it.
    std::unique_ptr<Picture> blank();
    // The newest source frame; an older one that has not been sent gives way.
    void offer(std::unique_ptr<Picture> picture);
    // What there is; the same as before while there is a queue for it.
    View look();
    // This styled picture is on the screen now: its delay counts, and its memory is used again.
    void shown(std::unique_ptr<Picture> picture);

  private:
    void work();
    std::string attempt(const Options& options);
    void settle(const Options& options, std::string ending);
    void pause(const Options& options);

    mutable Desk desk_;
    const Listener listener_;
    DelayMeter meter_;       // the render thread's
    bool was_open_ = false;  // the render thread's, as the next two
    bool was_stalled_ = false;
    std::uint32_t working_size_px_ = 0;
    Backoff backoff_;  // the worker's
    std::string last_ending_;
    std::thread worker_;  // last: it uses all of the above
};

}  // namespace cmstream
