#pragma once
#include <fmt/format.h>

#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

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
/// "cpu", "cuda" (the first device) or "cuda:2"; none for any other text.
inline std::optional<Device> parse_device(std::string_view text) {
  if (text == "cpu") return Device{};
  if (text == "cuda") return Device{DeviceType::cuda, 0};
  constexpr std::string_view kPrefix = "cuda:";
  if (!text.starts_with(kPrefix)) return std::nullopt;
  int index = -1;
  const auto [end, error] =
      std::from_chars(text.data() + kPrefix.size(), text.data() + text.size(), index);
  if (error != std::errc() || end != text.data() + text.size() || index < 0) return std::nullopt;
  return Device{DeviceType::cuda, index};
}

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
