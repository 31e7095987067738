// What diffusers' JSON files have in common: values are taken as written, or refused with the file
// and the key.
#pragma once
#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <type_traits>
#include <vector>

#include "framework/core/check.h"
#include "framework/io/atomic_file.h"

namespace noisette::diffusers {

using Json = nlohmann::ordered_json;

/// The version whose files are written.
inline constexpr const char* kVersion = "0.42.1";

/// A key that leaves no choice here, and the values that mean what this program does.
struct Fixed {
  const char* key;
  std::vector<Json> allowed;

  bool fits(const Json& value) const {
    return std::find(allowed.begin(), allowed.end(), value) != allowed.end();
  }
};

inline const Fixed* find_fixed(const std::vector<Fixed>& keys, const std::string& key) {
  const auto found = std::find_if(keys.begin(), keys.end(), [&](auto& f) { return key == f.key; });
  return found == keys.end() ? nullptr : &*found;
}

/// Whether a value is a T as written: JSON libraries turn 2.5 into 2 and true into 1 without a
/// word.
template <class T>
bool holds(const Json& value) {
  if constexpr (std::is_same_v<T, bool>)
    return value.is_boolean();
  else if constexpr (std::is_integral_v<T>)
    return value.is_number_integer();
  else if constexpr (std::is_floating_point_v<T>)
    return value.is_number();
  else if constexpr (std::is_same_v<T, std::string>)
    return value.is_string();
  else
    return value.is_array() &&
           std::all_of(value.begin(), value.end(), holds<typename T::value_type>);
}

/// The value of `key`, `missing` where there is none. `file` begins the message: "[unet]
/// a/config.json".
template <class T>
T get(const Json& json, const char* key, T missing, const std::string& file) {
  if (!json.contains(key) || json[key].is_null()) return missing;
  check_user(holds<T>(json[key]), "{}: '{}' is {}, which is not of the right type", file, key,
             json[key].dump());
  return json[key].get<T>();
}

inline Json read_object(const std::filesystem::path& path, const std::string& file) {
  Json json = Json::parse(read_text(path), nullptr, false);
  check_user(json.is_object(), "{} is not a JSON object", file);
  return json;
}

}  // namespace noisette::diffusers
