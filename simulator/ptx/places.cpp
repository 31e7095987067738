#include "simulator/ptx/places.h"

#include <algorithm>
#include <functional>
#include <set>

namespace sim::ptx {
namespace {

bool is_in_cu(const std::string& place) {
  return place.substr(0, place.rfind(':')).ends_with(".cu");
}

/// Calls that a line may be of, the latest first.
using Choices = std::set<uint32_t, std::greater<>>;

Choices choices(const Module& module, uint32_t call) {
  Choices all;
  for (; call != 0; call = module.calls[call - 1].other) all.insert(call);
  return all;
}

std::string joined(const std::vector<std::string>& places) {
  constexpr size_t kMost = 3;
  std::string text = places[0];
  for (size_t k = 1; k < std::min(places.size(), kMost); ++k) text += " or " + places[k];
  return places.size() > kMost ? text + " or elsewhere" : text;
}

}  // namespace

std::string place_of(const Module& module, const Location& where) {
  const auto file = module.files.find(where.file);
  if (file == module.files.end() || where.line == 0) return "";
  return file->second + ":" + std::to_string(where.line);
}

std::vector<std::string> calls_of(const Module& module, const Location& where) {
  std::vector<std::string> calls;
  Choices now = choices(module, where.call);
  while (!now.empty()) {
    Choices outer;
    std::vector<std::string> places;
    for (const uint32_t n : now) {
      const Location& at = module.calls[n - 1].at;
      const std::string place = place_of(module, at);
      if (!place.empty() && std::find(places.begin(), places.end(), place) == places.end())
        places.push_back(place);
      outer.merge(choices(module, at.call));
    }
    if (!places.empty()) calls.push_back(joined(places));
    now = std::move(outer);
  }
  return calls;
}

std::string brief_place_of(const Module& module, const Instruction& instruction) {
  const std::string ptx = "PTX line " + std::to_string(instruction.line);
  std::string place = place_of(module, instruction.where);
  if (place.empty()) return ptx;
  if (const auto calls = calls_of(module, instruction.where); !calls.empty()) {
    const auto own = std::find_if(calls.begin(), calls.end(), is_in_cu);
    place += " (called at " + (own == calls.end() ? calls.back() : *own) + ")";
  }
  return place + ", " + ptx;
}

}  // namespace sim::ptx
