// Names and the walk over parameters.
#include "framework/nn/module.h"

#include "framework/nn/layers.h"
#include "tests/support/gradcheck.h"

namespace noisette {
namespace {

using testing_support::message_of;

struct Pair final : Module {
  Linear first{2, 3};
  LinearGroup group{4, 6, {"to_q", "to_k", "to_v"}};
  ModuleList<GroupNorm> norms;
  Pair() {
    add("first", first);
    add("", group);  // its names appear as if they were this module's own
    add("norms", norms);
    norms.emplace(4, 2, 1e-5);
    norms.emplace(8, 2, 1e-5);
  }
};

TEST(Module, NamesAreDottedPathsInOrderOfRegistration) {
  const Pair m;
  std::vector<std::string> names;
  for (const Slot& s : m.slots()) names.push_back(s.name);
  EXPECT_EQ(names, (std::vector<std::string>{"first.weight", "first.bias", "to_q.weight",
                                             "to_k.weight", "to_v.weight", "to_q.bias", "to_k.bias",
                                             "to_v.bias", "norms.0.weight", "norms.0.bias",
                                             "norms.1.weight", "norms.1.bias"}));
  EXPECT_EQ(m.parameter_count(), 2 * 3 + 3 + 3 * (4 * 6 + 6) + 2 * 4 + 2 * 8);
}

TEST(Module, FusedSlotsShareOneParameter) {
  const Pair m;
  const auto slots = m.slots();
  for (size_t i : {2u, 3u, 4u}) {
    EXPECT_EQ(slots[i].parameter, slots[2].parameter);
    EXPECT_EQ(slots[i].shape(), (Shape{6, 4}));
    EXPECT_EQ(slots[i].begin, int64_t(i - 2) * 6);
    EXPECT_EQ(slots[i].end, int64_t(i - 1) * 6);
  }
  EXPECT_EQ(slots[2].parameter->shape(), (Shape{18, 4}));
  EXPECT_EQ(slots[6].shape(), (Shape{6}));
}

TEST(Module, PathsFollowTheTree) {
  Pair m;
  m.set_paths();
  std::vector<std::string> paths;
  m.each_module([&](Module& x) { paths.push_back(x.path()); });
  EXPECT_EQ(paths, (std::vector<std::string>{"", "first", "", "norms", "norms.0", "norms.1"}));
  m.set_paths("unet");
  EXPECT_EQ(m.norms[1].path(), "unet.norms.1");
}

TEST(Module, RowsMustDivideAmongTheNames) {
  struct Bad final : Module {
    Parameter p{{5, 2}, Init::zeros()};
    Bad() { add(std::vector<std::string>{"a", "b"}, p); }
  };
  EXPECT_NE(message_of([] { Bad(); }).find("shape [5, 2] does not divide among 2 names"),
            std::string::npos);
}

TEST(Module, AParameterWithoutMemorySaysSo) {
  const Linear m(2, 3);
  EXPECT_NE(message_of([&] {
              m(zeros({1, 2}, DType::f32));
            }).find("has no memory yet"),
            std::string::npos);
}

}  // namespace
}  // namespace noisette
