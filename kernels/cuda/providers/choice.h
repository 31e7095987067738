// What was chosen for each Work. Plain C++, without the toolkit's headers.
#pragma once
#include <map>
#include <string>

namespace noisette::cuda::providers {

struct Choice {
  std::string plan;     // "cuBLASLt 1", by the plan's place in the list; empty: our kernel
  double ours = 0;      // seconds
  double theirs = 0;    // of the fastest plan that agreed; 0: there is none
  std::string fastest;  // that plan
};
/// By Work::key().
using Choices = std::map<std::string, Choice>;

}  // namespace noisette::cuda::providers
