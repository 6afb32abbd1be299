// SPDX-License-Identifier: GPL-2.0-or-later
// Stream parameters as values, and what a server says of them. Pure.
#pragma once

#include <map>
#include <string>
#include <variant>
#include <vector>

namespace google::protobuf {
class Struct;
}

namespace cmstream {

using ParamValue = std::variant<double, std::string>;  // whole numbers are doubles, as in JSON
using Params = std::map<std::string, ParamValue>;

enum class ParamKind { number, integer, style, text, choice };

// A parameter of the model that the server runs.
struct ParamSpec {
    std::string name;
    ParamKind kind = ParamKind::number;
    std::string title;
    std::string description;
    ParamValue default_value;
    double minimum = 0;  // of number and integer
    double maximum = 0;
    std::vector<std::string> choices;  // of style and choice
};

// What of `wanted` the model takes: names it knows, with values it takes. What is left out goes into `refused`, for a
// parameter of the model before, still in the settings, must not make the server refuse the stream.
Params accepted(const Params& wanted, const std::vector<ParamSpec>& specs, std::vector<std::string>& refused);

// What turns `now` into `wanted`: values that differ, and the defaults of those that are wanted no longer.
Params difference(const Params& now, const Params& wanted, const std::vector<ParamSpec>& specs);

// What is left of `sent` in the state that a server tells, which may be of another model: the values it has now.
Params left_of(const Params& sent, const google::protobuf::Struct& state);

google::protobuf::Struct struct_of(const Params& params);

}  // namespace cmstream
