#pragma once
#include <fmt/format.h>

#include <cstdint>
#include <string>

namespace noisette {

/// Where a tensor lives. `meta` tensors have a shape, a dtype and an accounted size, but no data.
enum class DeviceType : uint8_t { cpu, meta, cuda };

struct Device {
  DeviceType type = DeviceType::cpu;
  int index = 0;

  bool is_cpu() const { return type == DeviceType::cpu; }
  bool is_meta() const { return type == DeviceType::meta; }
  bool operator==(const Device&) const = default;
  std::string str() const {
    if (type == DeviceType::cuda) return "cuda:" + std::to_string(index);
    return type == DeviceType::cpu ? "cpu" : "meta";
  }
};
inline constexpr Device kCpu{DeviceType::cpu, 0};
inline constexpr Device kMeta{DeviceType::meta, 0};

}  // namespace noisette

template <>
struct fmt::formatter<noisette::Device> : fmt::formatter<std::string_view> {
  template <class C>
  auto format(const noisette::Device& d, C& ctx) const {
    return fmt::formatter<std::string_view>::format(d.str(), ctx);
  }
};
