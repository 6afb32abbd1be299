// SPDX-License-Identifier: GPL-2.0-or-later
// How long to wait before the next attempt to connect. Pure.
#pragma once

#include <chrono>
#include <random>

namespace cmstream {

class Backoff {
  public:
    static constexpr std::chrono::milliseconds kFirst{200};
    // A restarted server is found within this: "styling resumes within 2 s" leaves no room for the usual minutes.
    static constexpr std::chrono::milliseconds kLongest{1000};

    explicit Backoff(std::uint_fast32_t seed) : random_(seed) {}

    // The next wait: twice the last, at most kLongest, less up to a quarter at random so that filters do not march.
    std::chrono::milliseconds next();

    // A connection came about: begin anew.
    void reset() { wait_ = kFirst; }

  private:
    std::chrono::milliseconds wait_ = kFirst;
    std::minstd_rand random_;
};

}  // namespace cmstream
