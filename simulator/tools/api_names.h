// All functions of the toolkit's runtime library.
#pragma once
#include <vector>

namespace sim {

struct ApiName {
  const char* name;
  const void* address;  // null: not simulated
};
const std::vector<ApiName>& api_names();
/// "13.0"
const char* toolkit_version();

}  // namespace sim
