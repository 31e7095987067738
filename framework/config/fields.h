// One declaration per configuration key. A config struct lists its fields once, in
//
//   struct OptimizerConfig {
//     double learning_rate = 2e-4;
//     Decay decay = Decay::cosine;
//     void fields(config::Fields& f) {
//       f.add("learning_rate", learning_rate, {.above = 0, .max = 1, .doc = "step size of AdamW"});
//       f.add("decay", decay, {.doc = "shape of the learning rate after warm-up"});
//     }
//     std::string problem() const;  // optional: a rule between fields; empty when it holds
//   };
//
// and everything else follows from that list: parsing with strict types and ranges (config.h), the
// resolved file, the JSON form, the table of keys, the difference between two configurations.
#pragma once
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace noisette::config {

inline constexpr double kUnbounded = std::numeric_limits<double>::infinity();

/// What a key means and may be. The bounds hold for numbers and for each number of a list.
struct Spec {
  std::string_view unit = "";  // "updates", "images", "bits": empty for a pure number
  double min = -kUnbounded;    // smallest allowed value
  double above = -kUnbounded;  // exclusive lower bound
  double max = kUnbounded;     // largest allowed value
  double below = kUnbounded;   // exclusive upper bound
  int64_t min_length = 0;      // of a list or a string
  bool required = false;       // no default: the file must say it
  std::string_view doc = "";   // one line
};

/// An enum usable as a field declares its names, in the order of its values from 0, next to the
/// enum:
///   constexpr std::span<const std::string_view> enum_names(Decay) { return kDecayNames; }
template <class E>
concept NamedEnum = std::is_enum_v<E> && requires(E e) {
  { enum_names(e) } -> std::convertible_to<std::span<const std::string_view>>;
};

template <NamedEnum E>
constexpr std::string_view name_of(E e) {
  return enum_names(e)[size_t(e)];
}

/// An enum field with its type erased.
struct EnumSlot {
  std::span<const std::string_view> names;
  std::function<size_t()> get;
  std::function<void(size_t)> set;
};

struct Field;

/// A nested table: the fields of another config struct.
struct TableSlot {
  std::vector<Field> fields;
  std::function<std::string()> problem;  // the struct's rule between fields, or empty
};

/// Where a field lives. An empty optional is written "none".
using Slot =
    std::variant<bool*, int64_t*, double*, std::string*, std::optional<int64_t>*,
                 std::optional<double>*, std::optional<std::string>*, std::vector<int64_t>*,
                 std::vector<double>*, std::vector<std::string>*, EnumSlot, TableSlot>;

struct Field {
  std::string name;
  Spec spec;
  Slot slot;
};

/// Collects the fields of one config struct; the pointers live as long as the struct.
class Fields {
 public:
  template <class T>
  void add(std::string_view name, T& member, const Spec& spec) {
    if constexpr (std::is_enum_v<T>) {
      static_assert(NamedEnum<T>, "declare enum_names() next to the enum");
      push(name, spec,
           EnumSlot{enum_names(member), [&member] { return size_t(member); },
                    [&member](size_t index) { member = T(index); }});
    } else {
      push(name, spec, Slot(&member));
    }
  }

  /// A nested struct becomes the table [name].
  template <class C>
  void table(std::string_view name, C& nested, std::string_view doc = "") {
    push(name, {.doc = doc}, table_of(nested));
  }

  template <class C>
  static TableSlot table_of(C& c) {
    Fields nested;
    c.fields(nested);
    TableSlot slot{std::move(nested.fields_), nullptr};
    if constexpr (requires {
                    { std::as_const(c).problem() } -> std::convertible_to<std::string>;
                  })
      slot.problem = [&c] { return std::as_const(c).problem(); };
    return slot;
  }

 private:
  void push(std::string_view name, const Spec& spec,
            Slot slot);  // throws std::logic_error on a name used twice

  std::vector<Field> fields_;
};

/// "integer", "number or none", "list of strings", "linear | cosine".
std::string type_text(const Field& field);

/// "[0, 1)", "> 0", ">= 1", "" when everything is allowed.
std::string range_text(const Spec& spec);

/// The current value as TOML text; an empty optional is "\"none\"".
std::string value_text(const Field& field);

}  // namespace noisette::config
