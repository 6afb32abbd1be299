// SPDX-License-Identifier: GPL-2.0-or-later
#include "properties.h"

#include <algorithm>
#include <array>
#include <climits>
#include <cmath>
#include <string>
#include <vector>

#include "settings.h"
#include "text.h"

namespace cmstream {

namespace {

constexpr int kLargestSizePx = 1024;
constexpr int kSizeStepPx = 16;

// Parameters whose names are in the locale file; the others go by the server's titles. In the order of the dialog.
struct Known {
    const char* name;
    const char* title;
};
constexpr std::array<Known, 7> kKnown{{{"style", "Style"},
                                       {"strength", "Strength"},
                                       {"seed", "Seed"},
                                       {"stroke_scale", "StrokeScale"},
                                       {"prompt", "Prompt"},
                                       {"negative_prompt", "NegativePrompt"},
                                       {"transition_ms", "TransitionMs"}}};

// Of the stream rather than of the picture: left to the console and the API.
constexpr std::array<const char*, 1> kHidden{{"watermark"}};

obs_property_t* explained(obs_property_t* property, const char* about) {
    obs_property_set_long_description(property, text(about));
    return property;
}

std::size_t place_of(const ParamSpec& spec) {
    const auto known =
        std::find_if(kKnown.begin(), kKnown.end(), [&](const Known& one) { return spec.name == one.name; });
    return static_cast<std::size_t>(known - kKnown.begin());
}

std::string title_of(const ParamSpec& spec) {
    const std::size_t place = place_of(spec);
    if (place < kKnown.size())
        return text(kKnown[place].title);
    return spec.title.empty() ? spec.name : spec.title;
}

obs_property_t* add_choice(obs_properties_t* to, const char* name, const char* title, const ParamSpec& spec) {
    obs_property_t* list = obs_properties_add_list(to, name, title, OBS_COMBO_TYPE_LIST, OBS_COMBO_FORMAT_STRING);
    for (const std::string& choice : spec.choices)
        obs_property_list_add_string(list, choice.c_str(), choice.c_str());
    return list;
}

int whole(double value) { return static_cast<int>(std::clamp<double>(value, INT_MIN, INT_MAX)); }

void add_param(obs_properties_t* to, const ParamSpec& spec) {
    const std::string name = setting::kParam + spec.name;
    const std::string title = title_of(spec);
    obs_property_t* property = nullptr;
    switch (spec.kind) {
        case ParamKind::number: {
            const double step = spec.maximum - spec.minimum > 20 ? 1 : 0.01;
            property =
                obs_properties_add_float_slider(to, name.c_str(), title.c_str(), spec.minimum, spec.maximum, step);
            break;
        }
        case ParamKind::integer:
            property =
                obs_properties_add_int(to, name.c_str(), title.c_str(), whole(spec.minimum), whole(spec.maximum), 1);
            break;
        case ParamKind::text:
            property = obs_properties_add_text(to, name.c_str(), title.c_str(), OBS_TEXT_DEFAULT);
            break;
        default:
            property = add_choice(to, name.c_str(), title.c_str(), spec);
    }
    obs_property_set_long_description(property, spec.description.c_str());
}

obs_properties_t* server_group() {
    obs_properties_t* group = obs_properties_create();
    explained(obs_properties_add_text(group, setting::kServer, text("Server"), OBS_TEXT_DEFAULT), "Server.About");
    explained(obs_properties_add_text(group, setting::kToken, text("Token"), OBS_TEXT_PASSWORD), "Token.About");
    explained(obs_properties_add_text(group, setting::kStream, text("Stream"), OBS_TEXT_DEFAULT), "Stream.About");
    explained(obs_properties_add_bool(group, setting::kTls, text("Tls")), "Tls.About");
    explained(
        obs_properties_add_path(group, setting::kCaFile, text("CaFile"), OBS_PATH_FILE, text("CaFile.Filter"), nullptr),
        "CaFile.About");
    obs_property_t* transport = obs_properties_add_list(group, setting::kTransport, text("Transport"),
                                                        OBS_COMBO_TYPE_LIST, OBS_COMBO_FORMAT_STRING);
    obs_property_list_add_string(transport, text("Transport.Automatic"), "auto");
    obs_property_list_add_string(transport, text("Transport.Raw"), "raw");
    obs_property_list_add_string(transport, text("Transport.Jpeg"), "jpeg");
    return group;
}

obs_properties_t* look_group(const Status& status, obs_data_t* settings) {
    obs_properties_t* group = obs_properties_create();
    if (status.capabilities == nullptr) {
        obs_properties_add_text(group, "away", text("Look.Away"), OBS_TEXT_INFO);
        return group;
    }
    std::vector<ParamSpec> specs = status.capabilities->specs;
    std::stable_sort(specs.begin(), specs.end(),
                     [](const ParamSpec& one, const ParamSpec& other) { return place_of(one) < place_of(other); });
    for (const ParamSpec& spec : specs) {
        setting::set_default(settings, spec);
        if (std::find(kHidden.begin(), kHidden.end(), spec.name) == kHidden.end())
            add_param(group, spec);
    }
    return group;
}

obs_properties_t* picture_group() {
    obs_properties_t* group = obs_properties_create();
    obs_property_t* size =
        obs_properties_add_int(group, setting::kSizePx, text("Size"), 0, kLargestSizePx, kSizeStepPx);
    obs_property_int_set_suffix(size, " px");
    explained(size, "Size.About");
    obs_properties_add_bool(group, setting::kShowDelay, text("ShowDelay"));
    return group;
}

std::string delay_text(const Link& link) {
    const long delay_ms = std::lround(link.delay_ms());
    if (delay_ms == 0)
        return text("Delay.None");
    return text("Delay", {std::to_string(delay_ms), std::to_string(std::lround(link.rate_hz()))});
}

void show_standing(obs_properties_t* properties, const Link& link) {
    const Status status = link.status();
    obs_property_t* standing = obs_properties_get(properties, "standing");
    obs_property_set_description(standing, status.text.c_str());
    obs_property_text_set_info_type(standing, status.is_connected ? OBS_TEXT_INFO_NORMAL : OBS_TEXT_INFO_WARNING);
    obs_property_set_description(obs_properties_get(properties, "delay"), delay_text(link).c_str());
}

bool refresh(obs_properties_t* properties, obs_property_t*, void* link) {
    show_standing(properties, *static_cast<const Link*>(link));
    return true;  // OBS draws it anew
}

}  // namespace

obs_properties_t* properties_of(const Link& link, obs_source_t* source) {
    obs_properties_t* properties = obs_properties_create();
    obs_data_t* settings = obs_source_get_settings(source);
    obs_property_text_set_info_word_wrap(obs_properties_add_text(properties, "standing", "", OBS_TEXT_INFO), true);
    obs_properties_add_group(properties, "look", text("Group.Look"), OBS_GROUP_NORMAL,
                             look_group(link.status(), settings));
    obs_properties_add_group(properties, "picture", text("Group.Picture"), OBS_GROUP_NORMAL, picture_group());
    obs_properties_add_group(properties, "connection", text("Group.Server"), OBS_GROUP_NORMAL, server_group());
    obs_property_text_set_info_word_wrap(obs_properties_add_text(properties, "delay", "", OBS_TEXT_INFO), true);
    obs_properties_add_button2(properties, "refresh", text("Refresh"), refresh, const_cast<Link*>(&link));
    show_standing(properties, link);
    obs_data_release(settings);
    return properties;
}

}  // namespace cmstream
