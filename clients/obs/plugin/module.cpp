// SPDX-License-Identifier: GPL-2.0-or-later
// What OBS loads: the module's own functions, and the one source type it brings.
#include <obs-module.h>

#include "filter.h"

OBS_DECLARE_MODULE()
OBS_MODULE_USE_DEFAULT_LOCALE("cmstream", "en-US")

MODULE_EXPORT const char* obs_module_name() { return "cmstream"; }

MODULE_EXPORT const char* obs_module_description() { return "Styles a video source live, by a cmstream server"; }

MODULE_EXPORT bool obs_module_load() {
    const obs_source_info info = cmstream::filter_info();
    obs_register_source(&info);
    return true;
}
