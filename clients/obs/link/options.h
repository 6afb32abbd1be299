// SPDX-License-Identifier: GPL-2.0-or-later
// How a filter is to be connected, and with what parameters. Pure.
#pragma once

#include <string>

#include "params.h"

namespace cmstream {

enum class PixelTransport { automatic, raw, jpeg };

struct Options {
    std::string address = "127.0.0.1:50051";  // host:port, [v6]:port or unix:/path
    bool tls = false;
    std::string ca_file;  // PEM; empty: the system's
    std::string token;    // empty: none
    std::string stream;   // empty: the server names it
    PixelTransport transport = PixelTransport::automatic;
    Params params;
    bool shows_delay = false;  // written over the picture

    // What is wrong with it, for people; empty where nothing is. What gRPC is given must pass: it aborts on bad
    // metadata.
    std::string fault() const;

    // Whether it takes another call to get from one to the other; parameters change within a call.
    bool needs_other_call(const Options& other) const;

    // Whether frames travel as JPEG: automatic is raw on this machine, where bytes cost less than coding.
    bool sends_jpeg() const;

    // Whether the address is on this machine.
    bool is_local() const;
};

}  // namespace cmstream
