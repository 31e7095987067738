// Attributes and arrays of strings.
#include <algorithm>
#include <cstring>

#include "framework/io/hdf5_internal.h"

namespace noisette::hdf5 {
namespace {

struct Attribute {
  Handle handle, type, space;
  hssize_t count = 0;
};

Attribute open_attribute(int64_t file, const std::string& object, const std::string& name,
                         const std::string& what) {
  Attribute a;
  const hid_t id = H5Aopen_by_name(file, object.c_str(), name.c_str(), H5P_DEFAULT, H5P_DEFAULT);
  a.handle = Handle(must(id, what), H5Aclose);
  a.type = Handle(must(H5Aget_type(a.handle.id()), what), H5Tclose);
  a.space = Handle(must(H5Aget_space(a.handle.id()), what), H5Sclose);
  a.count = must(H5Sget_simple_extent_npoints(a.space.id()), what);
  check_user(a.count <= (1 << 20), "[hdf5] cannot {}: it claims {} values", what, a.count);
  return a;
}

template <class T>
std::vector<T> read_numbers(int64_t file, const std::string& object, const std::string& name,
                            H5T_class_t kind, hid_t memory_type, const std::string& what) {
  const Locked lock;
  const Attribute a = open_attribute(file, object, name, what);
  check_user(H5Tget_class(a.type.id()) == kind, "[hdf5] cannot {}: it holds no {}", what,
             kind == H5T_INTEGER ? "integers" : "floating-point numbers");
  std::vector<T> values(std::size_t(a.count));
  if (!values.empty()) must(H5Aread(a.handle.id(), memory_type, values.data()), what);
  return values;
}

template <class T>
T single(const std::vector<T>& values, const std::string& what) {
  check_user(values.size() == 1, "[hdf5] cannot {}: expected one value, got {}", what,
             values.size());
  return values[0];
}

std::string until_nul(const char* text, std::size_t capacity) {
  return std::string(text, strnlen(text, capacity));
}

}  // namespace

Handle string_type(std::size_t length) {
  Handle type(must(H5Tcopy(H5T_C_S1), "make a type"), H5Tclose);
  must(H5Tset_size(type.id(), std::max<std::size_t>(length, 1)), "make a type");
  must(H5Tset_strpad(type.id(), H5T_STR_NULLPAD), "make a type");
  must(H5Tset_cset(type.id(), H5T_CSET_UTF8), "make a type");
  return type;
}

std::string File::describe(const std::string& object, const std::string& name) const {
  return "attribute '" + name + "' of '" + object + "' in " + origin_;
}

void File::write_attribute(const std::string& object, const std::string& name, int64_t type,
                           int64_t space, const void* data) {
  const std::string what = "write " + describe(object, name);
  if (has(object, name))
    must_write(H5Adelete_by_name(handle_.id(), object.c_str(), name.c_str(), H5P_DEFAULT), broken_,
               what);
  const hid_t id = H5Acreate_by_name(handle_.id(), object.c_str(), name.c_str(), type, space,
                                     H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
  const Handle attribute(must_write(id, broken_, what), H5Aclose);
  must_write(H5Awrite(attribute.id(), type, data), broken_, what);
}

void File::set(const std::string& object, const std::string& name, std::string_view value) {
  const Locked lock;
  check(value.size() <= (1 << 15), "[hdf5] {} can hold 32 KiB; got {} bytes",
        describe(object, name), value.size());
  check(value.find('\0') == value.npos, "[hdf5] {} cannot hold a NUL", describe(object, name));
  const Handle type = string_type(value.size());
  const Handle space(H5Screate(H5S_SCALAR), H5Sclose);
  write_attribute(object, name, type.id(), space.id(), std::string(value).c_str());
}

void File::set(const std::string& object, const std::string& name,
               std::span<const int64_t> values) {
  const Locked lock;
  const hsize_t n = values.size();
  const Handle space(H5Screate_simple(1, &n, nullptr), H5Sclose);
  write_attribute(object, name, H5T_STD_I64LE, space.id(), values.data());
}

void File::set(const std::string& object, const std::string& name, std::span<const double> values) {
  const Locked lock;
  const hsize_t n = values.size();
  const Handle space(H5Screate_simple(1, &n, nullptr), H5Sclose);
  write_attribute(object, name, H5T_IEEE_F64LE, space.id(), values.data());
}

void File::set(const std::string& object, const std::string& name, int64_t value) {
  set(object, name, std::span<const int64_t>(&value, 1));
}

void File::set(const std::string& object, const std::string& name, double value) {
  set(object, name, std::span<const double>(&value, 1));
}

bool File::has(const std::string& object, const std::string& name) const {
  const Locked lock;
  return H5Aexists_by_name(handle_.id(), object.c_str(), name.c_str(), H5P_DEFAULT) > 0;
}

std::string File::get_string(const std::string& object, const std::string& name) const {
  const Locked lock;
  const std::string what = "read " + describe(object, name);
  const Attribute a = open_attribute(handle_.id(), object, name, what);
  check_user(H5Tget_class(a.type.id()) == H5T_STRING && a.count == 1,
             "[hdf5] cannot {}: it is not one string", what);
  if (H5Tis_variable_str(a.type.id()) > 0) {
    char* text = nullptr;
    must(H5Aread(a.handle.id(), a.type.id(), static_cast<void*>(&text)), what);
    std::string value = text ? text : "";
    H5free_memory(text);
    return value;
  }
  std::string text(H5Tget_size(a.type.id()), '\0');
  must(H5Aread(a.handle.id(), a.type.id(), text.data()), what);
  return until_nul(text.data(), text.size());
}

std::vector<int64_t> File::get_ints(const std::string& object, const std::string& name) const {
  return read_numbers<int64_t>(handle_.id(), object, name, H5T_INTEGER, H5T_NATIVE_INT64,
                               "read " + describe(object, name));
}

std::vector<double> File::get_doubles(const std::string& object, const std::string& name) const {
  return read_numbers<double>(handle_.id(), object, name, H5T_FLOAT, H5T_NATIVE_DOUBLE,
                              "read " + describe(object, name));
}

int64_t File::get_int(const std::string& object, const std::string& name) const {
  return single(get_ints(object, name), "read " + describe(object, name));
}

double File::get_double(const std::string& object, const std::string& name) const {
  return single(get_doubles(object, name), "read " + describe(object, name));
}

void File::write_text(const std::string& path, std::string_view text) {
  create_dataset(path, DType::u8, {int64_t(text.size())})
      .write_rows(0, int64_t(text.size()), std::as_bytes(std::span(text)));
}

std::string File::read_text(const std::string& path) const {
  const std::vector<uint8_t> bytes = open_dataset(path).read_all<uint8_t>();
  return std::string(bytes.begin(), bytes.end());
}

void File::write_strings(const std::string& path, std::span<const std::string> values) {
  const Locked lock;
  const std::string what = "write '" + path + "' of " + origin_;
  std::size_t length = 1;
  for (const std::string& s : values) {
    check(s.find('\0') == s.npos, "[hdf5] cannot {}: a string holds a NUL", what);
    length = std::max(length, s.size());
  }
  const hsize_t rows = values.size();
  const int64_t block = std::max<int64_t>(1, (1 << 18) / int64_t(length));
  const Handle type = string_type(length);
  const Handle space(must(H5Screate_simple(1, &rows, nullptr), what), H5Sclose);
  const Handle storage =
      chunked_storage(Shape{int64_t(rows)}, int64_t(length), {.chunk_rows = block, .deflate = 4});
  const hid_t id = H5Dcreate2(handle_.id(), path.c_str(), type.id(), space.id(), H5P_DEFAULT,
                              storage.id(), H5P_DEFAULT);
  const Handle dataset(must_write(id, broken_, what), flush_and_close_dataset, broken_);

  std::vector<char> buffer;
  for (int64_t first = 0; first < int64_t(rows); first += block) {
    const int64_t count = std::min(block, int64_t(rows) - first);
    buffer.assign(std::size_t(count) * length, '\0');
    for (int64_t i = 0; i < count; ++i) {
      const std::string& s = values[std::size_t(first + i)];
      s.copy(buffer.data() + std::size_t(i) * length, s.size());
    }
    Handle memory;
    const Handle selected = row_selection(dataset.id(), first, count, memory, what);
    must_write(
        H5Dwrite(dataset.id(), type.id(), memory.id(), selected.id(), H5P_DEFAULT, buffer.data()),
        broken_, what);
  }
}

std::vector<std::string> File::read_strings(const std::string& path) const {
  const Locked lock;
  const std::string name = "'" + path + "' of " + origin_, what = "read " + name;
  const Handle dataset(must(H5Dopen2(handle_.id(), path.c_str(), H5P_DEFAULT), what), H5Dclose);
  const Handle type(must(H5Dget_type(dataset.id()), what), H5Tclose);
  const Shape shape = checked_shape(dataset.id(), name);
  check_user(H5Tget_class(type.id()) == H5T_STRING && shape.ndim() == 1,
             "[hdf5] cannot {}: it is no list of strings", what);
  const bool variable = H5Tis_variable_str(type.id()) > 0;
  const std::size_t length = H5Tget_size(type.id());
  const int64_t block = std::max<int64_t>(1, (1 << 18) / int64_t(length));

  std::vector<std::string> values;
  std::vector<char> buffer;
  for (int64_t first = 0; first < shape[0]; first += block) {
    const int64_t count = std::min(block, shape[0] - first);
    buffer.assign(std::size_t(count) * length, '\0');
    Handle memory;
    const Handle selected = row_selection(dataset.id(), first, count, memory, what);
    must(H5Dread(dataset.id(), type.id(), memory.id(), selected.id(), H5P_DEFAULT, buffer.data()),
         what);
    for (int64_t i = 0; i < count; ++i) {
      const char* row = buffer.data() + std::size_t(i) * length;
      const char* text = row;
      if (variable) std::memcpy(&text, row, sizeof text);
      values.push_back(variable ? std::string(text ? text : "") : until_nul(row, length));
    }
    if (variable) H5Dvlen_reclaim(type.id(), memory.id(), H5P_DEFAULT, buffer.data());
  }
  return values;
}

}  // namespace noisette::hdf5
