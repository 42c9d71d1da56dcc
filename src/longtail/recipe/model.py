"""Settings of what learns and how: networks, methods, optimiser and learning rate."""

from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import Field, model_validator

from longtail.recipe.fields import AtLeastOne, Fraction, Listed, Place, Positive, Settings, Share


class ResNet32(Settings):
    """The CIFAR ResNet-32 of the long-tail papers, 0.46 million parameters."""

    kind: Literal["resnet32"] = Field(default="resnet32", description="which backbone")


class ResNet9(Settings):
    """A wide shallow network, faster per accuracy on small images."""

    kind: Literal["resnet9"] = Field(default="resnet9", description="which backbone")
    width: AtLeastOne = Field(default=32, description="channels of the first layer")


class Airbench(Settings):
    """A network of one convolution and three stages of two or three, which is fast on small images."""

    kind: Literal["airbench"] = Field(default="airbench", description="which backbone")
    width: AtLeastOne = Field(default=64, description="channels of the first stage")
    depth: Literal[2, 3] = Field(default=2, description="convolutions a stage; 3: with a shortcut around the last two")
    mirrored: bool = Field(
        default=False,
        description="equivariant to reflection: same answer for an image and its mirror image; not for letters, digits",
    )

    @model_validator(mode="after")
    def _two_copies(self) -> "Airbench":
        if self.mirrored and self.width % 2:
            raise ValueError(f"width is {self.width} and mirrored is true; allowed then: an even width")
        return self


class Timm(Settings):
    """Any model of the timm library."""

    kind: Literal["timm"] = Field(default="timm", description="which backbone")
    name: str = Field(default="resnet50", description="name of the model, as timm.list_models() gives it")
    pretrained: bool = Field(default=False, description="start from timm's pretrained weights")
    weights: Place | None = Field(
        default=None,
        description="start from weights in a file, safetensors or a state dict of torch; its classifier is left out",
    )

    @model_validator(mode="after")
    def _one_start(self) -> "Timm":
        if self.pretrained and self.weights is not None:
            raise ValueError(f"weights is {self.weights} and pretrained is true; choose one of the two")
        return self


class LinearHead(Settings):
    """One linear layer."""

    kind: Literal["linear"] = Field(default="linear", description="which classifier")


class CosineHead(Settings):
    """Scaled cosine between features and class weights."""

    kind: Literal["cosine"] = Field(default="cosine", description="which classifier")
    scale: Positive = Field(default=30.0, description="factor of the cosines: logits lie between minus and plus this")


Network = Annotated[ResNet32 | ResNet9 | Airbench | Timm, Field(discriminator="kind")]
Head = Annotated[LinearHead | CosineHead, Field(discriminator="kind")]


def network_name(network: Network) -> str:
    """What a network is called: by its kind, or by timm's name.

    >>> network_name(ResNet9()), network_name(Timm())
    ('resnet9', 'resnet50')
    """
    return network.name if isinstance(network, Timm) else network.kind


class Parabolic(Settings):
    """1 - (epoch / epochs) ** 2, the paper's."""

    kind: Literal["parabolic"] = Field(default="parabolic", description="which course the weight takes")


class Linear(Settings):
    """1 - epoch / epochs."""

    kind: Literal["linear"] = Field(default="linear", description="which course the weight takes")


class Cosine(Settings):
    """A quarter of a cosine."""

    kind: Literal["cosine"] = Field(default="cosine", description="which course the weight takes")


class Constant(Settings):
    """The same weight all the time."""

    kind: Literal["constant"] = Field(default="constant", description="which course the weight takes")
    value: Fraction = Field(default=0.5, description="the weight of the contrastive loss")


class Switch(Settings):
    """1 until a fraction of the training, then 0: two stages."""

    kind: Literal["step"] = Field(default="step", description="which course the weight takes")
    at: Fraction = Field(default=0.5, description="fraction of the training after which the weight is 0")


Alpha = Annotated[Parabolic | Linear | Cosine | Constant | Switch, Field(discriminator="kind")]


class Projection(Settings):
    """The MLP between features and embeddings."""

    hidden: AtLeastOne | None = Field(default=None, description="width of the hidden layer; null: that of the features")
    dim: AtLeastOne = Field(default=128, description="length of the embeddings")


class MethodSettings(Settings):
    """What the settings of a method say of it, beside their values: a recipe is checked by that.

    Where both are true, the loss of a batch is a mean with one loss an image.
    """

    # `Step.each` is given, and the loss counts each image by `Batch.weights`: what `pruning` goes by.
    loss_of_each_image: ClassVar[bool] = False
    # Images of which `Batch.mixed` says that they have two labels are understood: what `augment.cutmix` makes.
    takes_mixed_images: ClassVar[bool] = False

    @property
    def drawn(self) -> Literal["instance", "balanced"]:
        """How the images of its first stream are drawn."""
        return "instance"

    @property
    def in_chunks(self) -> bool:
        """Whether images go through the network in parts, to save memory."""
        return False


class CrossEntropy(MethodSettings):
    """Plain cross-entropy."""

    loss_of_each_image = takes_mixed_images = True

    kind: Literal["ce"] = Field(default="ce", description="which method")
    sampling: Literal["instance", "balanced"] = Field(default="instance", description="how images are drawn")
    smoothing: Share = Field(default=0.0, description="share of the target that all classes have alike")

    @property
    def drawn(self) -> Literal["instance", "balanced"]:
        return self.sampling


class LogitAdjustment(MethodSettings):
    """Cross-entropy of logits to which the log of their class's frequency was added; tau 1: balanced softmax."""

    loss_of_each_image = takes_mixed_images = True

    kind: Literal["logit-adjustment"] = Field(default="logit-adjustment", description="which method")
    tau: Positive = Field(default=1.0, description="factor of the log of the class frequencies")
    smoothing: Share = Field(default=0.0, description="share of the target that classes have by frequency")


class HybridSC(MethodSettings):
    """Supervised contrastive loss beside cross-entropy."""

    kind: Literal["hybrid-sc"] = Field(default="hybrid-sc", description="which method")
    temperature: Positive = Field(default=0.1, description="divides the cosine similarities of the contrastive loss")
    alpha: Alpha = Field(default=Parabolic(), description="weight of the feature branch over time")
    projection: Projection = Field(default=Projection(), description="the MLP of the feature branch")
    chunk: AtLeastOne | None = Field(
        default=None, description="images that go through the network at once, to save memory; null: all"
    )

    @property
    def in_chunks(self) -> bool:
        return self.chunk is not None


class HybridPSC(MethodSettings):
    """Prototypical contrastive loss beside cross-entropy."""

    kind: Literal["hybrid-psc"] = Field(default="hybrid-psc", description="which method")
    temperature: Positive = Field(default=0.1, description="divides the cosine similarities of the contrastive loss")
    alpha: Alpha = Field(default=Parabolic(), description="weight of the feature branch over time")
    projection: Projection = Field(default=Projection(), description="the MLP of the feature branch")
    prototypes_per_class: AtLeastOne = Field(
        default=1, description="M; the exponentials of a class's M similarities are summed"
    )
    chunk: AtLeastOne | None = Field(
        default=None, description="images that go through the network at once, to save memory; null: all"
    )

    @property
    def in_chunks(self) -> bool:
        return self.chunk is not None


Method = Annotated[CrossEntropy | LogitAdjustment | HybridSC | HybridPSC, Field(discriminator="kind")]


class SGD(Settings):
    """Stochastic gradient descent with momentum."""

    kind: Literal["sgd"] = Field(default="sgd", description="which optimiser; sgd if it is left out")
    lr: Positive = Field(description="learning rate after warm-up")
    momentum: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.9, description="share of the last update that is kept; 0: none"
    )
    nesterov: bool = Field(default=False, description="use Nesterov's form of momentum")
    weight_decay: Annotated[float, Field(ge=0)] = Field(
        default=1e-4, description="of every parameter, prototypes and biases too; 0: none"
    )

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> "SGD":
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov is true and momentum is 0; Nesterov's method needs a momentum above 0")
        return self


class Muon(Settings):
    """Orthogonalised momentum for the layers of the backbone, SGD with Nesterov momentum for the rest."""

    kind: Literal["muon"] = Field(default="muon", description="which optimiser; sgd if it is left out")
    lr: Positive = Field(description="learning rate after warm-up, of what is not orthogonalised")
    factor: Positive = Field(default=0.5, description="of the learning rate, for what is orthogonalised")
    momentum: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.9, description="share of the last update that is kept; 0: none"
    )
    weight_decay: Annotated[float, Field(ge=0)] = Field(
        default=5e-4, description="of what is not orthogonalised; 0: none"
    )
    matrix_decay: Annotated[float, Field(ge=0)] = Field(
        default=0.1, description="of what is orthogonalised, times its learning rate; 0: none"
    )


Optimizer = Annotated[SGD | Muon, Field(discriminator="kind")]


Warmup = Annotated[
    float, Field(ge=0, lt=1, description="fraction of the steps in which the learning rate rises from near 0; 0: none")
]


class StepDecay(Settings):
    """Multiply the learning rate by a factor at milestones."""

    kind: Literal["step"] = Field(default="step", description="which course the learning rate takes")
    warmup: Warmup = 0.0
    milestones: Annotated[tuple[Fraction, ...], Listed] = Field(
        default=(0.6, 0.8), description="fractions of the training"
    )
    factor: Positive = Field(default=0.1, description="by which each milestone multiplies the learning rate")


class CosineDecay(Settings):
    """Half a cosine down to 0."""

    kind: Literal["cosine"] = Field(default="cosine", description="which course the learning rate takes")
    warmup: Warmup = 0.0


class OneCycle(Settings):
    """A linear rise and a linear fall to 0."""

    kind: Literal["one-cycle"] = Field(default="one-cycle", description="which course the learning rate takes")
    warmup: Warmup = 0.1


class ConstantRate(Settings):
    """The same learning rate all the time, after warm-up."""

    kind: Literal["constant"] = Field(default="constant", description="which course the learning rate takes")
    warmup: Warmup = 0.0


Schedule = Annotated[StepDecay | CosineDecay | OneCycle | ConstantRate, Field(discriminator="kind")]


def kinds(union: Any) -> dict[str, Any]:
    """The classes of a union of settings by their `kind`.

    >>> list(kinds(Head))
    ['linear', 'cosine']
    """
    members, *_ = get_args(union)
    return {member.model_fields["kind"].default: member for member in get_args(members)}
