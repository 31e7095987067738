#include "simulator/ptx/places.h"

#include <algorithm>

namespace sim::ptx {
namespace {

bool is_in_cu(const std::string& place) {
  return place.substr(0, place.rfind(':')).ends_with(".cu");
}

}  // namespace

std::string place_of(const Module& module, const Location& where) {
  const auto file = module.files.find(where.file);
  if (file == module.files.end() || where.line == 0) return "";
  return file->second + ":" + std::to_string(where.line);
}

std::vector<std::string> calls_of(const Module& module, const Location& where) {
  std::vector<std::string> calls;
  for (uint32_t call = where.call; call != 0; call = module.calls[call - 1].at.call)
    if (std::string place = place_of(module, module.calls[call - 1].at); !place.empty())
      calls.push_back(std::move(place));
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
