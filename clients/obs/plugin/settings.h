// SPDX-License-Identifier: GPL-2.0-or-later
// A filter's settings as OBS keeps them ⇄ options of a link. The names of the settings are the interface for scripts.
#pragma once

#include <obs-module.h>

#include <string>

#include "capabilities.h"
#include "options.h"

namespace cmstream::setting {

constexpr const char* kServer = "server";
constexpr const char* kTls = "tls";
constexpr const char* kCaFile = "ca_file";
constexpr const char* kToken = "token";
constexpr const char* kStream = "stream";
constexpr const char* kTransport = "transport";  // "auto", "raw" or "jpeg"
constexpr const char* kSizePx = "size_px";
constexpr const char* kShowDelay = "show_delay";
constexpr const char* kParam = "param_";  // before the name of a parameter: param_style, param_strength, …

void set_defaults(obs_data_t* settings);

// A parameter's default, once it is known: what its control shows until somebody moves it.
void set_default(obs_data_t* settings, const ParamSpec& spec);

// Parameters are those that the user set; the rest stays as the server has it.
Options options_of(obs_data_t* settings);

}  // namespace cmstream::setting
