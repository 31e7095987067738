#include "framework/config/fields.h"

#include <fmt/format.h>

#include <stdexcept>

#include "framework/config/value.h"

namespace noisette::config {
namespace {

template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};
template <class... F>
Overloaded(F...) -> Overloaded<F...>;

std::string text_of(bool v) { return v ? "true" : "false"; }
std::string text_of(int64_t v) { return std::to_string(v); }
std::string text_of(double v) { return number_text(v); }
std::string text_of(const std::string& v) { return quote(v); }

template <class T>
std::string text_of(const std::optional<T>& v) {
  return v ? text_of(*v) : quote("none");
}

template <class T>
std::string text_of(const std::vector<T>& items) {
  std::string out = "[";
  for (const T& item : items) out += (out.size() > 1 ? ", " : "") + text_of(item);
  return out + "]";
}

/// A bound as people write it: 0, 1, 0.999, 1e-8.
std::string bound_text(double v) {
  std::string s = number_text(v);
  if (s.size() > 2 && s.ends_with(".0")) s.resize(s.size() - 2);
  return s;
}

}  // namespace

void Fields::push(std::string_view name, const Spec& spec, Slot slot) {
  for (const Field& field : fields_)
    if (field.name == name)
      throw std::logic_error(fmt::format("config field '{}' is declared twice", name));
  fields_.push_back({std::string(name), spec, std::move(slot)});
}

std::string type_text(const Field& field) {
  return std::visit(
      Overloaded{
          [](bool*) -> std::string { return "boolean"; },
          [](int64_t*) -> std::string { return "integer"; },
          [](double*) -> std::string { return "number"; },
          [](std::string*) -> std::string { return "string"; },
          [](std::optional<int64_t>*) -> std::string { return "integer or \"none\""; },
          [](std::optional<double>*) -> std::string { return "number or \"none\""; },
          [](std::optional<std::string>*) -> std::string { return "string or \"none\""; },
          [](std::vector<int64_t>*) -> std::string { return "list of integers"; },
          [](std::vector<double>*) -> std::string { return "list of numbers"; },
          [](std::vector<std::string>*) -> std::string { return "list of strings"; },
          [](const EnumSlot& e) { return fmt::format("{}", fmt::join(e.names, " | ")); },
          [](const TableSlot&) -> std::string { return "table"; },
      },
      field.slot);
}

std::string range_text(const Spec& s) {
  const bool low_open = s.above >= s.min && s.above > -kUnbounded;
  const bool high_open = s.below <= s.max && s.below < kUnbounded;
  const double low = low_open ? s.above : s.min, high = high_open ? s.below : s.max;
  if (low == -kUnbounded && high == kUnbounded) return "";
  if (high == kUnbounded) return fmt::format("{} {}", low_open ? ">" : ">=", bound_text(low));
  if (low == -kUnbounded) return fmt::format("{} {}", high_open ? "<" : "<=", bound_text(high));
  return fmt::format("{}{}, {}{}", low_open ? "(" : "[", bound_text(low), bound_text(high),
                     high_open ? ")" : "]");
}

std::string value_text(const Field& field) {
  return std::visit(Overloaded{
                        [](const EnumSlot& e) { return quote(e.names[e.get()]); },
                        [](const TableSlot&) { return std::string("{}"); },
                        [](const auto* member) { return text_of(*member); },
                    },
                    field.slot);
}

}  // namespace noisette::config
