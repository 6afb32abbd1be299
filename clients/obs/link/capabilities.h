// SPDX-License-Identifier: GPL-2.0-or-later
// What a server offers, as data. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "params.h"

namespace cmstream {

namespace v1 {
class GetCapabilitiesResponse;
class Model;
class Limits;
}  // namespace v1

// What the server takes; fields as in cmstream.v1.Limits.
struct Limits {
    std::uint32_t window_frames = 1;
    std::uint32_t max_frame_bytes = 0;
    std::uint32_t min_side_px = 0;
    std::uint32_t max_side_px = 0;
    std::uint32_t working_size_px = 0;
};

struct Capabilities {
    std::string server_version;
    std::string model;   // its title
    std::string device;  // e.g. "cpu" or "cuda:0"
    std::vector<ParamSpec> specs;
    Limits limits;
};

Limits limits_of(const v1::Limits& message);

// Of several models the first, which is the one that streams get. Kinds of parameters that this version does not know
// are left out. Throws std::runtime_error where there is no model.
Capabilities capabilities_of(const v1::GetCapabilitiesResponse& message);

// The same server with another model.
Capabilities with_model(const Capabilities& before, const v1::Model& model);

}  // namespace cmstream
