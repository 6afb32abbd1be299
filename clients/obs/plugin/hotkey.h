// SPDX-License-Identifier: GPL-2.0-or-later
// A pair of hotkeys on the filtered source: show it as it is, style it again. Made and ended on any one thread.
#pragma once

#include <obs-module.h>

#include <atomic>

namespace cmstream {

class BypassHotkey {
  public:
    BypassHotkey() = default;
    ~BypassHotkey() { leave(); }
    BypassHotkey(const BypassHotkey&) = delete;
    BypassHotkey& operator=(const BypassHotkey&) = delete;

    // The source whose hotkeys they are: known only once the filter is on it. The same again is fine.
    void join(obs_source_t* parent);
    void leave();

    // Whether the source is to be shown as it is. Any thread.
    bool is_bypassed() const { return is_bypassed_; }

  private:
    bool set(bool bypassed);

    obs_source_t* parent_ = nullptr;
    obs_hotkey_pair_id pair_ = OBS_INVALID_HOTKEY_PAIR_ID;
    std::atomic<bool> is_bypassed_{false};
};

}  // namespace cmstream
