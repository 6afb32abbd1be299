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
    const auto pressed = [](void* self, obs_hotkey_id, obs_hotkey_t*, bool is_down) {
        if (is_down)
            static_cast<BypassHotkey*>(self)->toggle();
    };
    hotkey_ = obs_hotkey_register_source(parent, "cmstream.bypass", text("Bypass", {name}).c_str(), pressed, this);
    parent_ = parent;
}

void BypassHotkey::leave() {
    if (hotkey_ != OBS_INVALID_HOTKEY_ID)
        obs_hotkey_unregister(hotkey_);
    hotkey_ = OBS_INVALID_HOTKEY_ID;
    parent_ = nullptr;
}

void BypassHotkey::toggle() { is_bypassed_ = !is_bypassed_; }  // OBS calls hotkeys from one thread

}  // namespace cmstream
