// SPDX-License-Identifier: GPL-2.0-or-later
// Texts in the user's language, from data/locale. Any thread.
#pragma once

#include <initializer_list>
#include <string>

namespace cmstream {

// The text of this name.
const char* text(const char* name);

// The same with values in place of its {1}, {2} …: a translation that misses one does no harm.
std::string text(const char* name, std::initializer_list<std::string> values);

}  // namespace cmstream
