// SPDX-License-Identifier: GPL-2.0-or-later
// A hotkey of the filtered source: show it as it is, and at the next press styled again. Made and ended on one thread.
// Not one of OBS's pairs: those wait for a release that obs-websocket never sends.
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

    // The source whose hotkey it is: known only once the filter is on it. The same again is fine.
    void join(obs_source_t* parent);
    void leave();

    // Whether the source is to be shown as it is. Any thread.
    bool is_bypassed() const { return is_bypassed_; }

  private:
    void toggle();

    obs_source_t* parent_ = nullptr;
    obs_hotkey_id hotkey_ = OBS_INVALID_HOTKEY_ID;
    std::atomic<bool> is_bypassed_{false};
};

}  // namespace cmstream
