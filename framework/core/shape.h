#pragma once
#include <fmt/format.h>

#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

namespace noisette {

/// The extents of a tensor, outermost axis first. Tensors are contiguous and row-major: there are
/// no strides.
class Shape {
 public:
  Shape() = default;
  Shape(std::initializer_list<int64_t> dims) : dims_(dims) {}
  explicit Shape(std::vector<int64_t> dims) : dims_(std::move(dims)) {}

  int64_t ndim() const { return int64_t(dims_.size()); }
  /// Extent of an axis; negative axes count from the end. Throws for an axis that is not there.
  int64_t dim(int64_t axis) const;
  int64_t operator[](int64_t axis) const { return dim(axis); }
  /// Number of elements; 1 for a scalar.
  int64_t numel() const;
  bool operator==(const Shape&) const = default;

  auto begin() const { return dims_.begin(); }
  auto end() const { return dims_.end(); }
  const std::vector<int64_t>& dims() const { return dims_; }
  std::string str() const;  // "[2, 8, 8, 32]"

 private:
  std::vector<int64_t> dims_;
};

}  // namespace noisette

template <>
struct fmt::formatter<noisette::Shape> : fmt::formatter<std::string_view> {
  template <class C>
  auto format(const noisette::Shape& s, C& ctx) const {
    return fmt::formatter<std::string_view>::format(s.str(), ctx);
  }
};
// Shape has begin() and end(); keep fmt from printing it as a range.
#include <fmt/ranges.h>
template <>
struct fmt::is_range<noisette::Shape, char> : std::false_type {};
