// SPDX-License-Identifier: GPL-2.0-or-later
#include "params.h"

#include <google/protobuf/struct.pb.h>

#include <algorithm>
#include <cmath>

namespace cmstream {

namespace {

const ParamSpec* find(const std::vector<ParamSpec>& specs, const std::string& name) {
    const auto found =
        std::find_if(specs.begin(), specs.end(), [&](const ParamSpec& spec) { return spec.name == name; });
    return found == specs.end() ? nullptr : &*found;
}

bool takes(const ParamSpec& spec, const ParamValue& value) {
    const bool is_number = spec.kind == ParamKind::number || spec.kind == ParamKind::integer;
    if (is_number != std::holds_alternative<double>(value))
        return false;
    if (is_number) {
        const double number = std::get<double>(value);
        const bool whole = spec.kind == ParamKind::number || number == std::floor(number);
        return whole && spec.minimum <= number && number <= spec.maximum;
    }
    if (spec.kind == ParamKind::text)
        return true;
    return std::find(spec.choices.begin(), spec.choices.end(), std::get<std::string>(value)) != spec.choices.end();
}

}  // namespace

Params accepted(const Params& wanted, const std::vector<ParamSpec>& specs, std::vector<std::string>& refused) {
    Params params;
    for (const auto& [name, value] : wanted) {
        const ParamSpec* spec = find(specs, name);
        if (spec != nullptr && takes(*spec, value))
            params.emplace(name, value);
        else
            refused.push_back(name);
    }
    return params;
}

Params difference(const Params& now, const Params& wanted, const std::vector<ParamSpec>& specs) {
    Params changes;
    for (const auto& [name, value] : wanted) {
        const auto found = now.find(name);
        if (found == now.end() || found->second != value)
            changes.emplace(name, value);
    }
    for (const auto& [name, value] : now) {
        const ParamSpec* spec = find(specs, name);
        if (wanted.count(name) == 0 && spec != nullptr && value != spec->default_value)
            changes.emplace(name, spec->default_value);
    }
    return changes;
}

Params left_of(const Params& sent, const google::protobuf::Struct& state) {
    Params left;
    for (const auto& [name, value] : sent) {
        const auto found = state.fields().find(name);
        if (found == state.fields().end())
            continue;
        if (found->second.kind_case() == google::protobuf::Value::kNumberValue)
            left.emplace(name, found->second.number_value());
        else if (found->second.kind_case() == google::protobuf::Value::kStringValue)
            left.emplace(name, found->second.string_value());
    }
    return left;
}

google::protobuf::Struct struct_of(const Params& params) {
    google::protobuf::Struct message;
    for (const auto& [name, value] : params) {
        auto& field = (*message.mutable_fields())[name];
        if (const auto* number = std::get_if<double>(&value))
            field.set_number_value(*number);
        else
            field.set_string_value(std::get<std::string>(value));
    }
    return message;
}

}  // namespace cmstream
