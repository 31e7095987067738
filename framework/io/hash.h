// 128-bit checksums (XXH3) of data sets and parameters. Against accidents, not against attackers.
#pragma once
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace noisette {

/// XXH3-128 of everything that was added, in order; where it was cut into pieces does not matter.
class Hasher {
 public:
  Hasher();
  ~Hasher();
  Hasher(Hasher&&) noexcept;
  Hasher& operator=(Hasher&&) noexcept;

  void add(std::span<const std::byte> bytes);
  void add(std::string_view text);
  std::string hex() const;  // 32 lower-case digits, most significant first, as `xxhsum -H2` prints

 private:
  struct State;
  std::unique_ptr<State> state_;
};

std::string hash_hex(std::span<const std::byte> bytes);

}  // namespace noisette
