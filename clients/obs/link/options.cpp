// SPDX-License-Identifier: GPL-2.0-or-later
#include "options.h"

#include <algorithm>
#include <tuple>

namespace cmstream {

namespace {

bool starts_with(const std::string& text, const std::string& start) {
    return text.compare(0, start.size(), start) == 0;
}

// Printable ASCII without spaces: what addresses and bearer tokens (RFC 6750) are made of.
bool is_plain(const std::string& text) {
    return std::all_of(text.begin(), text.end(), [](char letter) { return letter > ' ' && letter < 127; });
}

auto connection_of(const Options& options) {
    return std::tie(options.address, options.tls, options.ca_file, options.token, options.stream, options.transport);
}

}  // namespace

std::string Options::fault() const {
    if (address.empty())
        return "no server: enter its gRPC address, e.g. 127.0.0.1:50051";
    if (!is_plain(address))
        return "the server's address has spaces or letters that no address has; it looks like 127.0.0.1:50051";
    if (!is_plain(token))
        return "the token has spaces or letters that no token has: paste it again";
    return {};
}

bool Options::needs_other_call(const Options& other) const { return connection_of(*this) != connection_of(other); }

bool Options::is_local() const {
    for (const char* host : {"127.", "localhost:", "[::1]:", "unix:"})
        if (starts_with(address, host))
            return true;
    return false;
}

bool Options::sends_jpeg() const {
    return transport == PixelTransport::jpeg || (transport == PixelTransport::automatic && !is_local());
}

}  // namespace cmstream
