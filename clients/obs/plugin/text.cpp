// SPDX-License-Identifier: GPL-2.0-or-later
#include "text.h"

#include <obs-module.h>

namespace cmstream {

const char* text(const char* name) { return obs_module_text(name); }

std::string text(const char* name, std::initializer_list<std::string> values) {
    std::string line = text(name);
    int number = 0;
    for (const std::string& value : values) {
        const std::string place = "{" + std::to_string(++number) + "}";
        for (auto at = line.find(place); at != std::string::npos; at = line.find(place, at + value.size()))
            line.replace(at, place.size(), value);
    }
    return line;
}

}  // namespace cmstream
