// SPDX-License-Identifier: GPL-2.0-or-later
#include "capabilities.h"

#include <algorithm>
#include <stdexcept>

#include "cmstream/v1/style_service.pb.h"

namespace cmstream {

namespace {

bool kind_of(v1::ParameterKind from, ParamKind& to) {
    switch (from) {
        case v1::PARAMETER_KIND_NUMBER:
            to = ParamKind::number;
            return true;
        case v1::PARAMETER_KIND_INTEGER:
            to = ParamKind::integer;
            return true;
        case v1::PARAMETER_KIND_STYLE:
            to = ParamKind::style;
            return true;
        case v1::PARAMETER_KIND_STRING:
            to = ParamKind::text;
            return true;
        case v1::PARAMETER_KIND_CHOICE:
            to = ParamKind::choice;
            return true;
        default:
            return false;
    }
}

ParamValue value_of(const google::protobuf::Value& value) {
    if (value.kind_case() == google::protobuf::Value::kStringValue)
        return value.string_value();
    if (value.kind_case() == google::protobuf::Value::kNumberValue)
        return value.number_value();
    return std::string();  // a mix of styles by default: there is no one name to show
}

}  // namespace

Limits limits_of(const v1::Limits& message) {
    Limits limits;
    limits.window_frames = std::max(1U, message.window_frames());
    limits.max_frame_bytes = message.max_frame_bytes();
    limits.min_side_px = message.min_side_px();
    limits.max_side_px = message.max_side_px();
    limits.working_size_px = message.working_size_px();
    return limits;
}

Capabilities capabilities_of(const v1::GetCapabilitiesResponse& message) {
    if (message.models_size() == 0)
        throw std::runtime_error("the server offers no model");
    return with_model({message.server_version(), {}, {}, {}, limits_of(message.limits())}, message.models(0));
}

Capabilities with_model(const Capabilities& before, const v1::Model& model) {
    Capabilities capabilities{before.server_version, model.title(), model.device(), {}, before.limits};
    for (const v1::Parameter& parameter : model.parameters()) {
        ParamSpec spec;
        if (!kind_of(parameter.kind(), spec.kind))
            continue;
        spec.name = parameter.name();
        spec.title = parameter.title();
        spec.description = parameter.description();
        spec.default_value = value_of(parameter.default_value());
        spec.minimum = parameter.minimum();
        spec.maximum = parameter.maximum();
        spec.choices.assign(parameter.choices().begin(), parameter.choices().end());
        capabilities.specs.push_back(std::move(spec));
    }
    return capabilities;
}

}  // namespace cmstream
