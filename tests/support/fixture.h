// Reference tensors that tests/parity/*.py made with PyTorch and diffusers, turned into this
// project's layout.
#pragma once
#include <cmath>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "framework/core/tensor.h"
#include "framework/io/safetensors.h"
#include "tests/support/gradcheck.h"

namespace noisette::testing_support {

inline std::filesystem::path fixture_path(const std::string& name) {
  return std::filesystem::path(NOISETTE_SOURCE_DIR) / "tests/parity/fixtures" / name;
}

/// Axis 1 of four moved last: images NCHW to NHWC, convolution weights OIHW to [O, kh, kw, I].
inline Shape channels_last(const Shape& s) {
  return s.ndim() == 4 ? Shape{s[0], s[2], s[3], s[1]} : s;
}
inline std::vector<double> channels_last(const std::vector<double>& values, const Shape& s) {
  if (s.ndim() != 4) return values;
  std::vector<double> out(values.size());
  const int64_t area = s[2] * s[3];
  for (int64_t n = 0; n < s[0]; ++n)
    for (int64_t c = 0; c < s[1]; ++c)
      for (int64_t p = 0; p < area; ++p)
        out[size_t((n * area + p) * s[1] + c)] = values[size_t((n * s[1] + c) * area + p)];
  return out;
}

class Fixture {
 public:
  explicit Fixture(const std::string& name) : file_(SafetensorsFile::open(fixture_path(name))) {}

  bool has(const std::string& name) const { return file_.find(name) != nullptr; }
  const Shape& shape(const std::string& name) const { return file_.at(name).shape; }
  const std::vector<SafetensorsEntry>& entries() const { return file_.entries(); }

  /// The values as stored.
  std::vector<double> values(const std::string& name) const {
    const SafetensorsEntry& e = file_.at(name);
    std::vector<double> out(size_t(e.shape.numel()));
    for (size_t i = 0; i < out.size(); ++i)
      out[i] = e.dtype == "F64"   ? number<double>(e, i)
               : e.dtype == "F32" ? double(number<float>(e, i))
                                  : double(number<int64_t>(e, i));
    return out;
  }
  /// The values in this project's layout.
  std::vector<double> ours(const std::string& name) const {
    return channels_last(values(name), shape(name));
  }
  Tensor tensor(const std::string& name, DType dtype) const {
    return make(ours(name), channels_last(shape(name)), dtype);
  }
  /// Row `row` of a stack of tensors.
  Tensor row(const std::string& name, int64_t row, DType dtype) const {
    std::vector<int64_t> dims = shape(name).dims();
    dims.erase(dims.begin());
    const Shape one(dims);
    const std::vector<double> all = values(name);
    const auto begin = all.begin() + row * one.numel();
    return make(channels_last(std::vector<double>(begin, begin + one.numel()), one),
                channels_last(one), dtype);
  }
  /// What the script says about how the file was made.
  nlohmann::json made_with() const {
    return nlohmann::json::parse(file_.metadata().at("made_with"));
  }

 private:
  template <class T>
  static T number(const SafetensorsEntry& e, size_t i) {
    T x;
    std::memcpy(&x, e.bytes.data() + i * sizeof(T), sizeof(T));
    return x;
  }
  static Tensor make(const std::vector<double>& values, const Shape& shape, DType dtype) {
    if (dtype != DType::i64) return tensor_of(values, shape, dtype);
    return from_vector(std::vector<int64_t>(values.begin(), values.end()), shape);
  }

  SafetensorsFile file_;
};

inline double norm_of(const std::vector<double>& x) {
  double sum = 0;
  for (const double v : x) sum += v * v;
  return std::sqrt(sum);
}

/// |got - want| / |want|, Euclidean; infinite when the lengths differ or a value is not a number.
inline double relative_error(const std::vector<double>& got, const std::vector<double>& want) {
  if (got.size() != want.size()) return INFINITY;
  std::vector<double> off;
  for (size_t i = 0; i < got.size(); ++i) off.push_back(got[i] - want[i]);
  const double error = norm_of(off) / norm_of(want);
  return std::isnan(error) ? INFINITY : error;
}

}  // namespace noisette::testing_support
