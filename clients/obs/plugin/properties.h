// SPDX-License-Identifier: GPL-2.0-or-later
// The filter's dialog: connection, what the server's model can be told, picture, and how it stands. UI thread.
#pragma once

#include <obs-module.h>

#include "link.h"

namespace cmstream {

// For OBS to own. Gives the settings of `source` the defaults that the server told.
obs_properties_t* properties_of(const Link& link, obs_source_t* source);

}  // namespace cmstream
