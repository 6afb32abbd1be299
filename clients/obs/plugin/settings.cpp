// SPDX-License-Identifier: GPL-2.0-or-later
#include "settings.h"

#include <cstring>

namespace cmstream::setting {

namespace {

PixelTransport transport_of(const std::string& name) {
    if (name == "raw")
        return PixelTransport::raw;
    return name == "jpeg" ? PixelTransport::jpeg : PixelTransport::automatic;
}

std::string trimmed(const char* text) {
    const std::string whole(text);
    const auto first = whole.find_first_not_of(" \t\r\n");
    if (first == std::string::npos)
        return {};
    return whole.substr(first, whole.find_last_not_of(" \t\r\n") - first + 1);
}

Params params_of(obs_data_t* settings) {
    Params params;
    const std::size_t prefix = std::strlen(kParam);
    for (obs_data_item_t* item = obs_data_first(settings); item != nullptr; obs_data_item_next(&item)) {
        const std::string name = obs_data_item_get_name(item);
        if (name.compare(0, prefix, kParam) != 0 || !obs_data_item_has_user_value(item))
            continue;
        if (obs_data_item_gettype(item) == OBS_DATA_NUMBER)
            params[name.substr(prefix)] = obs_data_item_get_double(item);
        else if (obs_data_item_gettype(item) == OBS_DATA_STRING && *obs_data_item_get_string(item) != '\0')
            params[name.substr(prefix)] = std::string(obs_data_item_get_string(item));
    }
    return params;
}

}  // namespace

void set_defaults(obs_data_t* settings) {
    const Options options;
    obs_data_set_default_string(settings, kServer, options.address.c_str());
    obs_data_set_default_string(settings, kTransport, "auto");
    obs_data_set_default_int(settings, kSizePx, 0);
}

void set_default(obs_data_t* settings, const ParamSpec& spec) {
    const std::string name = kParam + spec.name;
    if (const auto* text = std::get_if<std::string>(&spec.default_value))
        obs_data_set_default_string(settings, name.c_str(), text->c_str());
    else if (spec.kind == ParamKind::integer)
        obs_data_set_default_int(settings, name.c_str(), static_cast<long long>(std::get<double>(spec.default_value)));
    else
        obs_data_set_default_double(settings, name.c_str(), std::get<double>(spec.default_value));
}

Options options_of(obs_data_t* settings) {
    Options options;
    options.address = trimmed(obs_data_get_string(settings, kServer));
    options.tls = obs_data_get_bool(settings, kTls);
    options.ca_file = obs_data_get_string(settings, kCaFile);
    options.token = trimmed(obs_data_get_string(settings, kToken));
    options.stream = trimmed(obs_data_get_string(settings, kStream));
    options.transport = transport_of(obs_data_get_string(settings, kTransport));
    options.params = params_of(settings);
    options.shows_delay = obs_data_get_bool(settings, kShowDelay);
    return options;
}

}  // namespace cmstream::setting
