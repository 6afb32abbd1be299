// SPDX-License-Identifier: GPL-2.0-or-later
#include "hotkey.h"

#include "text.h"

namespace cmstream {

void BypassHotkey::join(obs_source_t* parent) {
    if (parent == parent_)
        return;
    leave();
    if (parent == nullptr)
        return;
    const char* name = obs_source_get_name(parent);
    const auto on = [](void* self, obs_hotkey_pair_id, obs_hotkey_t*, bool pressed) {
        return pressed && static_cast<BypassHotkey*>(self)->set(true);
    };
    const auto off = [](void* self, obs_hotkey_pair_id, obs_hotkey_t*, bool pressed) {
        return pressed && static_cast<BypassHotkey*>(self)->set(false);
    };
    pair_ = obs_hotkey_pair_register_source(parent, "cmstream.bypass", text("Bypass", {name}).c_str(),
                                            "cmstream.resume", text("Resume", {name}).c_str(), on, off, this, this);
    parent_ = parent;
}

void BypassHotkey::leave() {
    if (pair_ != OBS_INVALID_HOTKEY_PAIR_ID)
        obs_hotkey_pair_unregister(pair_);
    pair_ = OBS_INVALID_HOTKEY_PAIR_ID;
    parent_ = nullptr;
}

// Whether that changed anything: of a pair on one key, OBS takes the one that does.
bool BypassHotkey::set(bool bypassed) { return is_bypassed_.exchange(bypassed) != bypassed; }

}  // namespace cmstream
