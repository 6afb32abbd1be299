// SPDX-License-Identifier: GPL-2.0-or-later
// "cmstream style": a filter that shows, in place of a video source, what a server made of it.
//
// OBS calls update, tick and render on its render thread, properties on the user interface's.
#pragma once

#include <obs-module.h>

#include <atomic>
#include <memory>
#include <string>

#include "geometry.h"
#include "hotkey.h"
#include "link.h"
#include "screen.h"
#include "stage.h"

namespace cmstream {

// What OBS has to know of the filter; its callbacks make, drive and end Filters.
obs_source_info filter_info();

class Filter {
  public:
    Filter(obs_data_t* settings, obs_source_t* source);
    ~Filter();
    Filter(const Filter&) = delete;
    Filter& operator=(const Filter&) = delete;

    void update(obs_data_t* settings);
    void tick(float seconds);
    void render();
    obs_properties_t* properties() const;

  private:
    Listener listener();
    void step(Size source);
    void exchange(const View& view, Size source);
    void report(float seconds);
    void log(const std::string& line) const;

    obs_source_t* const source_;
    std::atomic<std::uint32_t> size_px_{0};
    BypassHotkey hotkey_;
    std::unique_ptr<Stage> stage_;    // graphics context only
    std::unique_ptr<Screen> screen_;  // graphics context only
    bool has_rendered_ = false;       // in this frame: a source may be drawn for the programme, a preview, a projector
    bool passes_ = true;              // shows the source as it is
    float since_report_s_ = 0;
    double reported_ms_ = 0;
    Link link_;  // last: its threads use the listener
};

}  // namespace cmstream
