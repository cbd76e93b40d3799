"""The tables of `shape_names`, read and written by hand: one entry a line, "words: other words | other words"."""

# phrase: labels. A label may be a file's name with its digits, and may stand behind its category and a slash. Labels
# that tidying alone makes readable are not listed. "-" is no object at all.
PHRASES = """
-: cube dirt center tall | cube dirt side tall | cube grass bottom tall | cube grass center tall
-: cube grass side bottom tall | cube grass side center tall | cube grass side tall | parking slot | parking slot 90°
-: parking slot 45° | parking slot 60° | arrow straight ahead | arrow turn right and ahead | arrow turn right
-: pedestrian crossing | poly farm | card game | react logo | house single support | metal support | support
-: ground hole
-: island extension | city builder bits/base | short | trousers | jacket | skirt | dress | frame chambord
-: rock group

horse: poly horse | horse white
shiba inu dog: shiba inu
husky dog: husky
bulldog: bulldog
dog: dogue
bull: bull
stag: stag
T-rex: trex
monkey head: suzanne high poly | suzanne poly
snake: snake angry

building: building | building without base
garage: building garage
one-story building: 1story mat | 1story sign mat
two-story building: 2story 2 mat | 2story center mat | 2story double mat | 2story mat | 2story sidehouse mat
two-story building: 2story sign mat
two-story building: 2story slim mat | 2story wide mat
two-story building with a balcony: 2story balcony mat
two-story building with columns: 2story columns mat
three-story building: 3story balcony mat | 3story slim mat | 3story small mat
four-story building: 4story center mat | 4story mat | 4story wide 2doors mat
six-story building: 6story stack mat

seedling: crops/apple 1 | bushberries 1 | crops/carrot 1 | crops/corn 1 | crops/flower 1 | lettuce 1 | crops/orange 1
seedling: crops/pumpkin 1 | crops/rice 1 | crops/watermelon 1
apple tree: crops/apple | apple harvested
apple: crops/apple crop
bamboo shoots: bamboo 1
bamboo stalk: bamboo | bamboo crop
beet: beet crop
bush: bushberries 2 | bushberries 3 | bush berries harvested
berry bush: bush berries | bush fruit
berry: bush berries crop
flowering cactus: crops/cactus 4 | cactus flowers
flower: cactus crop | flowers crop
cactus: cactus harvested | cactus small a | cactus small b
carrot: carrot crop | food ingredient carrot
half coconut: coconut half
corn plant: crops/corn | corn harvested | nature/corn
ear of corn: corn crop
flower bud: crops/flower 2
flower stem: flowers harvested
lettuce: lettuce harvested
mushroom cap: mushroom crop
mushroom stem: mushroom harvested
orange tree: crops/orange | orange harvested
orange: orange crop | food/orange
palm tree: palm tree harvested | palm detailed short | palm long | palm short
coconut: palm tree crop
pumpkin plant: crops/pumpkin | pumpkin harvested
pumpkin: pumpkin crop | pumpkin orange | pumpkin orange small | pumpkin yellow | pumpkin yellow small | pumpkin basic
jack-o'-lantern: pumpkin orange jackolantern | pumpkin yellow jackolantern
rice plant: crops/rice
rice stalk: rice crop
tomato plant: crops/tomato | tomato harvested
tomato: tomato crop | food ingredient tomato
watermelon plant: crops/watermelon | watermelon harvested
watermelon: watermelon crop
wheat stalk: crops/wheat | wheat crop

catfish: armored catfish
betta fish: betta
lionfish: black lion fish
goldfish: blue goldfish
tang fish: blue tang | yellow tang | tang
cardinal fish: cardinal fish
clownfish: zebra clown fish
grouper fish: coral grouper
wooden dock: dock long | dock long no rope | dock wide | dock first age
flowerhorn fish: flower horn
humphead fish: humphead
koi fish: koi
fishing lure: lure
moorish idol fish: moorish idol
pufferfish: puffer
snapper fish: red snapper
gramma fish: royal gramma
tetra fish: tetra
tuna fish: tuna
turbot fish: turbot

air conditioner: ac | ac side | ac stacked | air conditioning - external unit
satellite dish: antenna 2
cable: cable long | cable small | cable thick
circuit board: collectible board
gear: collectible gear
computer terminal: cyberpunk/computer | cyberpunk/computer large
robot: enemy legs | cyberpunk/enemy large
robot with a gun: enemy legs gun | enemy large gun
floor lever: cyberpunk/lever
square lamp: light square
street lamp: light street | street light | park light | classic lamppost
sci-fi crate: lootbox | pickup crate | sci fi crate
medical cross in a cube: cyberpunk/pickup health
heart in a cube: pickup heart
canister: pickup tank | pickup jar
metal truss: support long | support short
antenna with screens: cyberpunk/tv
fuel tank: cyberpunk/tank
gun turret: turret cannon | turret gun | turret gun double
sign: sign small

bathtub: bathroom bathtub
mirror: bathroom mirror
shower: bathroom shower
sink: bathroom sink
toilet: bathroom toilet | toilets unit
towel on a rail: bathroom towel | towelrail
bunk bed: bed bunk
double bed: bed king | bed double
single bed: bed single
corner sofa: couch l
sofa: couch | couch large | couch medium | clear sofa | burlap sofa | convertible sofa bz
sofa with pillows: couch pillows
armchair: couch small | winchester armchair | modern armchair
curtains: curtains double | curtains single | curtain
double door: door double
chest of drawers: house interior/drawer | dresser with drawers
potted cactus: houseplant 2 | houseplant 3 | cactus medium
potted plant: houseplant | little plant | decorative plant | living room/plant
kitchen cabinet with drawers: kitchen drawers
kitchen cabinet: kitchencabinet | kitchencabinet half | kitchen cabinet small | lower cabinet | upper cabinet
kitchen cabinet: small lower cabinet
kitchen cabinet: small upper cabinet | upper shelves cabinet
fridge: kitchen fridge | fridge decorated | large fridge
oven: kitchen oven | kitchen oven large
ceiling lamp: light ceiling | light ceiling single | light cube | light icosahedron | light small | hanging light
chandelier: light chandelier
desk lamp: light desk
floor lamp: light stand | lamp standing
nightstand: night stand | bedside table
round table: table round | table round small | table round large
trash can: trashcan | trashcan cylindric | trashcan large | trashcan small | dustbin | park trashcan
trash can: bullet trash can
wheelie bin: trashcan green | survival/trashcan
arched window: window round
window: window large | window small | turn window
humanoid robot: george | leela | mike | stan

sack: medieval village/bag
open sack: bag open
sacks: bags
blacksmith shop: blacksmith | building blacksmith
campfire: bonfire
burning campfire: bonfire lit | bonfire fire
market cart: medieval village/cart
arched door: door round
wooden door: door straight
bundle of hay: hay
hay bale: package
market stall: market stand
paved path: path square | path straight
wooden sawhorse: sawmill saw
arched window: medieval village/window
round window: medieval village/window 1

two-bladed axe: axe double | axe 2handed
bow: bow evil
golden bow: bow golden
wooden bow: bow wooden
war hammer: hammer double | medieval weapons/hammer small
shield: shield heater | shield badge | shield badge color | skeleton shield large
oval shield: shield celtic golden
round shield: shield round | shield round barbarian | shield round color
spiked shield: shield spikes | shield spikes color
square shield: shield square | shield square color
golden sword: sword golden | sword big golden

autumn birch tree: birch tree autumn
dead birch tree: birch tree dead
snowy dead birch tree: birch tree dead snow
snowy birch tree: birch tree snow
snowy bush: bush snow
agave plant: cactus flower
tree: common tree | poly tree | tree single b
autumn tree: common tree autumn
dead tree: common tree dead | tree dead large | tree dead medium | tree dead small | platformer/tree3
dead tree: tree dead large decorated
snowy dead tree: common tree dead snow
snowy tree: common tree snow
grass: grass short
lily pad with a flower: lilypad
autumn pine tree: pine tree autumn
pine tree: resource pine tree | tree pine orange large | tree pine orange medium | tree pine orange small
pine tree: tree pine yellow large | tree pine yellow medium | tree pine yellow small | tree single a
snowy pine tree: pine tree snow
mossy rock: rock moss
snowy rock: rock snow
mossy tree stump: tree stump moss
snowy tree stump: tree stump snow
willow tree: willow
autumn willow tree: willow autumn
dead willow tree: willow dead
snowy dead willow tree: willow dead snow
snowy willow tree: willow snow
log: wood log
mossy log: wood log moss
snowy log: wood log snow
wheat: nature/wheat

wooden arrow sign: arrow side | arrow up | sign left | sign right
signpost: sign left right
spring: bouncer
wooden bridge: bridge modular | bridge modular center | bridge small
cartoon rabbit: platformer game/character
cartoon rabbit with a gun: character gun
treasure chest: platformer game/chest | chest closed | dungeon remastered/chest | cannon chest
treasure chest: trunk large | trunk medium | trunk small
brick block: cube bricks
block: cube default
dirt block: cube dirt single | terrain | terrain curved | terrain mining | terrain slope | terrain tall
dirt block: terrain tall curved
grass block: cube grass single
block with an exclamation mark: cube exclamation
block with a question mark: cube question
spiked block: cube spikes
arched door: platformer game/door
monster head: platformer game/enemy
gem: gem blue | gem green | gem pink
flag: goal flag | flag blue | flag green | flag red
spiked cylinder: hazard cylinder
saw blade: hazard saw
spike trap: hazard spiketrap
number one: numbers 1
number two: numbers 2
number three: numbers 3
number four: numbers 4
number five: numbers 5
number six: numbers 6
number eight: numbers 8
number nine: numbers 9
plant: plant large | plant small
rock: rock platforms | rock platforms large | rock platforms medium | rock single | resource rock
spiked ball: spiky ball | projectile catapult
lightning bolt: thunder | pickup thunder
fruit tree: tree fruit

closed bear trap: bear trap closed
open bear trap: bear trap open
heart: heart full
half heart: heart half
spikes: spike group
spike: spike single
crate: yellow box | box large | dungeon remastered/box small | crate big | crate small
crate with gold coins: box small decorated
ladder: ladder long | ladder medium | ladder short
rope: rope long | rope short

archery range: archery | building archeryrange
barracks building: barracks | building barracks
stack of crates: crate stack | crate big stack | crates stacked | box stacked
farm field: farm dirt | farm firstage level1 | farm firstage level2 | farm firstage level3
wheat field: farm wheat | building grain
farmhouse: farm secondage level1 | farm secondage level2 | farm secondage level3
medieval house: houses | building home | medieval village/house | tower house
wooden house frame: houses firstage 3 level1 | houses firstage 3 level2
pile of logs: logs | wood logs
medieval market: market | building market
mine entrance: mine | building mine
mountain: mountain large single | mountain single
mountains: mountain group
medieval harbor: port
gold ore rock: resource gold
pine trees: resource pine tree group
tree stumps: resource pine tree group cut | resource tree group cut | trees cut | trees b cut
tree: resource tree
trees: resource tree group | trees large | trees medium | trees small | grass trees | grass trees tall
medieval storehouse: storage
temple: temple
wooden town square: towncenter firstage level1 | towncenter firstage level2 | towncenter firstage level3
fountain with a statue: town center
watchtower: watch tower
castle walls: wonder walls
wooden castle: wonder firstage level1 | wonder firstage level2 | wonder firstage level3
castle: wonder | building castle
windmill: building windmill | medieval village/mill

golden breastplate: armor golden
leather breastplate: armor leather
metal breastplate: armor metal
golden arrow: arrow golden
two-bladed golden axe: axe double golden
axe: axe small
golden axe: axe small golden
satchel: rpg items/bag
closed book: book closed | spellbook closed
open book: book open | spellbook open
goblet: chalice
open treasure chest: chest open
coin with a skull: coin skull
coin with a star: coin star
crystal: crystal damaged
golden dagger: dagger golden
golden dart: dart golden
fish skeleton: fish bone | fish bones
gold bars: gold ingots
golden war hammer: hammer double golden
broken heart: heart broken
crystal cluster: mineral
sheet of parchment: parchment
potion bottle: potion empty | potion filled
skull and crossbones: rpg items/skull2

sailboat: boat w sail
inflatable lifeboat: lifeboat
sailing ship: sail ship | ship dark | ship light
wrecked sailing ship: ship wreck
viking ship: viking boat

man: knight character | male | holding male | male skater | male survivor | mannequin male
woman: female | holding female | female skater | female survivor | mannequin female
cyborg: female cyborg
pirate: pirate crew | pirate officer
sitting man: sitting male
sitting woman: sitting female
lying man: lying down male
lying woman: lying down female
lying boy: lying down boy
sword: short sword | sword handed | sword handed color | sword big
shoulder pads: shoulder pads
spaceship: bob | challenger | dispatcher | imperial | insurgent | pancake | spitfire | striker | zenith
spaceship: spaceship barbara the bee | spaceship finn the frog | spaceship rae the red panda
roll of bandages: bandages
battery: battery big | battery small
dented can: can broken | soda can crushed
tin can: can closed | can red | can small | food/can
open can: can open
compass: compass closed
open compass: compass open
first aid kit: first aid kit | first aid kit hard | pickup health
burnt match: match burnt
burning match: match fire
frying pan: survival/pan | survival/pan small | pan 006 | restaurant bits/pan
cooking pot: survival/pot | survival/pot small | restaurant bits/pot | pot large | large pan | food/pot
inflatable raft: raft
paddle: raft paddle
sawed-off shotgun: shotgun sawed off
flashlight: survival/torch
burning torch: wooden torch fire | torch lit
tent: camping tent

astronaut: astronaut barbara the bee | astronaut fernando the flamingo | astronaut finn the frog
astronaut: astronaut rae the red panda
space base: base large
space base module: ultimate space/building l | house cylinder | house long | house open | house open back
space base module: house single
space base module: basemodule | basemodule garage
alien: enemy extra small | enemy flying | enemy small | ultimate space/enemy large
alien plant: ultimate space/bush | ultimate space/grass | ultimate space/plant
robot mech: mech barbara the bee | mech fernando the flamingo | mech finn the frog | mech rae the red panda
bullets: pickup bullets
key card: pickup key card
sphere in a broken cage: pickup sphere
planet with rings: planet 7 transformed | planet 10 transformed
space rover: rover
solar panels: solar panel structure | roofmodule solarpanels | solarpanel
alien tree: tree blob | tree floating | tree lava | tree light | tree spikes | tree spiral | tree swirl

bundle of arrows: arrow bundle
crossbow: crossbow handed | skeleton crossbow
empty wooden mug: mug empty
mug of beer: mug full
quiver with arrows: quiver | skeleton quiver
smoke bomb: smokebomb
magic staff: staff | skeleton staff
magic wand: wand
wizard: mage
hooded rogue: rogue hooded
arrow: skeleton arrow
broken arrow: skeleton arrow broken | skeleton arrow broken half | skeleton arrow half
two-bladed axe: skeleton axe

cardboard box: box a
open cardboard box: box b | open cardboard box
potted bush: city builder bits/bush
car: car hatchback | car sedan | car stationwagon | hatchback | sedan | sports sedan | seat leon | peugeot 308 cc
car: renault scenic | smart car
toy car: car model
taxi: car taxi
fire hydrant: firehydrant
road: road junction | road straight | road tsplit | road intersection | road split
road with a crosswalk: road straight crossing
road with street lamps: road straight lightposts
traffic light: trafficlight
trash bag: trash
water tower: watertower
paving slab: pavement
fountain: pavement fountain
patch of grass: city builder/grass

banner: banner brown | banner green | banner thin brown | banner thin
banner with a shield: banner shield
two-colored banner: banner pattern
triple banner: banner triple
barrel: barrel large | barrel small | barrel large decorated
stack of barrels: barrel small stack
stone railing: barrier | barrier colum half | barrier half
bed with a nightstand: bed decorated
bed: bed frame
bottle: bottle brown | bottle green | bottle large
bottle with a label: bottle labeled brown | bottle labeled green
burning candle: candle lit | candle thin lit
melted candle: candle melted
candle: candle thin
candles: candle triple
stack of coins: coin stack
barrel: keg
barrel with bottles: keg decorated
bunch of keys: keyring | keyring hanging | keys
plate of food: plate food | food dinner | plate dinner
stack of plates: plate stack
pile of rubble: rubble half | rubble
shelf with candles: shelf small candles
shield with swords: sword shield
shield with a broken sword: sword shield broken
wooden table: table long
table: kitchentable | kitchentable large | table medium | table small | technical table | black table
wooden table: dungeon remastered/table medium | dungeon remastered/table small | wooden alder table
wooden table: wooden teak table
table with bottles: table long decorated
table with a tablecloth: table with tablecloth | table long tablecloth | table medium tablecloth
table with a tablecloth and bottles: table long tablecloth decorated
broken wooden table: table medium broken
table with dishes: table medium decorated | table round decorated | kitchentable large decorated
table with bottles: table small decorated | table round small decorated
torch: torch mounted
chest lid: chest gold lid

books: book set
book: book single
cabinet: cabinet medium | cabinet small
cabinet with a potted cactus: cabinet medium decorated | cabinet small decorated
wooden chair: chair wood | osaka chair | teck chair
wooden stool: chair stool wood
stool: chair stool
table lamp: lamp table | little lamp
picture frame: pictureframe large | pictureframe medium | pictureframe small | pictureframe standing
picture frame: frame hôi an
oval rug: rug oval
rug: rug rectangle | oriental rug | carpet
striped rug: rug rectangle stripes
shelf with books: shelf large decorated
shelf with a potted cactus: shelf small decorated
table: table medium long

stone arch: arch
stone arch with an iron gate: arch gate
bench with a lantern and a skull: bench decorated
coffin with a skeleton: coffin decorated
gravestone: grave
broken gravestone: grave destroyed
wooden grave cross: gravemarker
hanging lantern: lantern hanging
lantern: lantern standing | post lantern lantern
stone path: halloween bits/path
stone slab: plaque
stone slab with candles: plaque candles
wooden post: post
post with a lantern: post lantern
post with a skull: post skull
stone shrine: shrine
stone shrine with candles: shrine candles
skull with a candle: skull candle
iron gate: arch gate left | arch gate right

church: building church
sawmill: building lumbermill
tavern: building tavern | medieval village/inn
stone tower: building tower | building tower base | misc/tower
catapult tower: building tower catapult
watermill: building watermill
well: building well
stone bridge: building bridge
ruined building: building destroyed
dirt tile: building dirt
construction site: building stage
cloud: cloud big
hill: hill single
hills with trees: hills trees
grassy mountain: mountain grass
grassy mountain with trees: mountain grass trees
tree stump: tree single cut
lily pad: waterlily
water plant: waterplant a
cattails: waterplant c
bucket of arrows: bucket arrows
empty bucket: bucket empty
bucket of water: bucket water
crate of vegetables: crate long
empty crate: crate long empty
open crate: crate open
lumber: resource lumber
stone blocks: resource stone
archery target: target
canopy: medieval hexagon pack/tent | barnum
weapon rack: weaponrack
saw blade: building lumbermill blue building lumbermill saw blue
saw blade: building lumbermill green building lumbermill saw green
saw blade: building lumbermill red building lumbermill saw red
saw blade: building lumbermill yellow building lumbermill saw yellow
wooden hut: building lumbermill blue building lumbermill top blue
wooden hut: building lumbermill green building lumbermill top green
wooden hut: building lumbermill red building lumbermill top red
wooden hut: building lumbermill yellow building lumbermill top yellow
tower roof: building tower blue building tower top blue | building tower green building tower top green
tower roof: building tower red building tower top red | building tower yellow building tower top yellow
catapult: building tower catapult blue catapult turret blue
catapult: building tower catapult red catapult turret red | building tower catapult yellow catapult turret yellow
catapult arm: building tower catapult blue catapult turret blue catapult arm blue
catapult arm: building tower catapult green catapult turret green catapult arm green
catapult arm: building tower catapult red catapult turret red catapult arm red
catapult arm: building tower catapult yellow catapult turret yellow catapult arm yellow
round hut: building windmill blue building windmill top blue | building windmill green building windmill top green
round hut: building windmill red building windmill top red | building windmill yellow building windmill top yellow
windmill sails: building windmill blue building windmill top blue building windmill top fan blue
windmill sails: building windmill green building windmill top green building windmill top fan green
windmill sails: building windmill red building windmill top red building windmill top fan red
windmill sails: building windmill yellow building windmill top yellow building windmill top fan yellow

bowl: bowl small
crate of buns: crate buns
crate of carrots: crate carrots
crate of cheese: crate cheese
crate of lettuce: crate lettuce
crate of onions: crate onions
crate of potatoes: crate potatoes
crate of steaks: crate steak
crate of tomatoes: crate tomatoes
empty crate: restaurant bits/crate
crate lid: crate lid
cutting board: cuttingboard | cutting board japanese | chopping board
round cutting board: cutting board round
dish rack: dishrack
dish rack with plates: dishrack plates
range hood: extractorhood | hood
burger: food burger
veggie burger: food vegetableburger
bun: food ingredient bun
bun half: food ingredient bun bottom | food ingredient bun top
cooked burger patty: food ingredient burger cooked | food ingredient vegetableburger cooked | meat patty
burnt burger patty: food ingredient burger trash
raw burger patty: food ingredient burger uncooked | food ingredient vegetableburger uncooked
chopped carrot: food ingredient carrot chopped
carrot slices: food ingredient carrot pieces
wedge of cheese: food ingredient cheese | food ingredient cheese chopped
chicken leg: food ingredient ham cooked
burnt chicken leg: food ingredient ham trash
lettuce: food ingredient lettuce
lettuce leaf: food ingredient lettuce slice
sliced onion: food ingredient onion chopped
onion rings: food ingredient onion rings
potato: food ingredient potato
chopped potato: food ingredient potato chopped
mashed potatoes: food ingredient potato mashed
steak: food ingredient steak | meat raw | meat cooked
steak pieces: food ingredient steak pieces
tomato slice: food ingredient tomato slice
tomato slices: food ingredient tomato slices
bowl of stew: food stew
jar: jar large | jar medium | jar small | old jar
ketchup bottle: ketchup | bottle ketchup
kitchen counter: kitchencounter innercorner | kitchencounter innercorner backsplash | kitchencounter outercorner
kitchen counter: kitchencounter outercorner backsplash | kitchencounter straight | kitchencounter straight backsplash
kitchen counter with a sink: kitchencounter sink | kitchencounter sink backsplash
kitchen counter with dishes: kitchencounter straight decorated
table with a sink: kitchentable sink | kitchentable sink large | kitchentable sink large decorated
kitchen knife: restaurant bits/knife | cooking knife chopping | cooking knife
pot lid: restaurant bits/lid | lid large | pot stew lid
menu stand: menu
mustard bottle: mustard | bottle musterd
roll of paper towels: papertowel | paper towel holder
pot of stew: pot stew
stew: stew bowl | stew pot
shelf with paper towels: shelf papertowel
shelf with jars and paper towels: shelf papertowel decorated
stove: stove multi | stove single | stove multi decorated | propane stove
cooktop: stove multi countertop | stove single countertop | induction cooker 4 zones
fridge door: fridge decorated door bottom | fridge decorated door top | fridge door bottom | fridge door top

cargo container: cargo | cargo packed
stack of cargo containers: cargo stacked
cargo depot: cargodepot
round containers: containers
drilling rig: drill structure
moon lander: lander
round platform with legs: lander base
landing pad: landingpad large | landingpad small
floodlights: space base bits/lights
round platform: roofmodule base
round platform with cargo: roofmodule cargo
space truck: spacetruck
space truck trailer: spacetruck trailer
metal stand: structure | structure tall
tunnel: tunnel diagonal long | tunnel diagonal short | tunnel straight
wind turbine: windturbine | windturbine tall
garage door: basemodule garage door
drill: drill structure drill module
wind turbine rotor: windturbine fan | windturbine tall fan

rowboat: boat large | boat small | cute fish/boat | ships/boat
van: citroen old van
race car: future race car
SUV: luxury suv | suv
tractor: police tractor
pickup truck: truck flat
half apple: apple half
half avocado: avocado half
bag of chips: bag flat
paper bag: food/bag
oil bottle: bottle oil
bowl of soup: bowl broth | bowl soup
bowl of cereal: bowl cereal
cheeseburger: burger cheese double
double burger: burger double
birthday cake: cake birthday
cake slicer: cake slicer
candy bar: candy bar wrapper
milk carton: carton small | carton | milk
celery stick: celery stick
slices of cheese: cheese cut
wheel of cheese: food/cheese
takeout box with chopsticks: chinese
chocolate bar: chocolate | chocolate wrapper
chopstick: chopstick fancy
cocktail: cocktail
cookie: cookie chocolate
fork: cooking fork | utensil fork
spatula: cooking spatula
wooden spoon: cooking spoon
knife: utensil knife
spoon: utensil spoon
saucer: cup saucer
cup of tea: cup tea | cup thea
cupcake: cup cake
donut: donut chocolate | donut sprinkles
fried egg: egg cooked
egg cup: egg cup
cracked egg: egg half
iced coffee: frappe
french fries: fries
hot dog: frikandel speciaal
pan lid: frying pan lid
gingerbread cutter: ginger bread cutter
gingerbread man: ginger bread
wine glass: glass wine
honey jar: honey
sausage: hot dog raw | sausage half | meat sausage
ice cream cone: ice cream cone | ice cream
ice cream cup: ice cream cup
scoop of ice cream: ice cream scoop mint | ice cream scoop
knife block: knife stand
half lemon: lemon half
baguette: loaf baguette
loaf of bread: loaf round | loaf | food/bread | kitchen/bread
lollipop: lollypop
sushi roll: maki roe | maki salmon | maki vegetable
ribs: meat ribs
meat tenderizer: meat tenderizer
meat pie: mincemeat pie
pestle: mortar pestle
half mushroom: mushroom half
open mussel: mussel open
half onion: onion half
pan of stew: pan stew
bell pepper slice: paprika slice
bell pepper: paprika
peanut butter jar: peanut butter
half pear: pear half
chili pepper: food/pepper
broken plate: plate broken
deep plate: plate deep
rectangular plate: plate rectangle
plate of sauerkraut: plate sauerkraut
rice ball: rice ball
knife block: knife block
bottle: bottle
door: door
window: window
glass: glass
gingerbread man: gingerbread man
bowl of salad: salad | bowl with salad
bowl of fruit: apples | bowl with fruits
pepper shaker: shaker pepper
salt shaker: shaker salt
vegetable skewer: skewer vegetables
soda bottle: soda bottle
cup of soda: soda
glass of soda: soda glass
bowl of soy sauce: soy
bamboo steamer: steamer
takeout box: styrofoam
sandwich: sub
egg sushi: sushi egg
salmon sushi: sushi salmon
tagine lid: tajine lid
tagine: tajine
roast turkey: turkey
ham: whole ham | wholer ham
wine bottle: wine white
dumpling: dim sum
blaster gun: blaster
cannon: cannon karge | cannon mobile
cannonball: cannon ball
scimitar: sword scimitar

whiteboard: white board
rocking horse: rocking horse
wardrobe: cupboard
boots: bootie
wooden doll: wood toy
jigsaw puzzle: puzzle
deer statue: living room/deer
office chair: office/chair
folding stool: exterior/folding chair
piano bench: piano bench
coffee machine: coffee brewer | coffee maker
cabinet with drawers: drawers cabinet
cabinet with a glass door: glass door cabinet
kitchen cabinet with a sink: sink cabinet
milk carton: kitchen/milk
cosmetics jar: cosmetics pot
perfume bottle: flacon
bathroom cabinet with a sink: vanity
paper lantern: japanese lantern
lantern: outdoor lamp | camping lamp | porch light
playground slide: child hut | children game
playground swing: child swing
spring rider: motorbike
metal railing: pedestrian railing | iron railing
smartphone: apple iphone | mobile phone | survival/phone
fire extinguisher: extinguisher
keypad: number lock
locker: locked locker
exit sign: emergency sign
tatami mat: tatami
forklift: fork lift
radiator: radiator
lipstick: lip stick
school chair with a desk: class seat
kettle: boiler
kitchen island: island
jar of utensils: utensils pot
table tennis table: table tennis
table tennis paddle: table tennis bat
coat hanger: wire coathanger
speaker: mp3 station | mp3 base
security camera: surveillance camera | cctv
armchair: armchair
children's chair: child chair | children chair
children's table: children table
chair with a cushion: chair with cushion
trestle table: table on trestles
cordless phone: wireless phone
lounge chair: pool lounge | beach chair | deck chair
speedboat: exterior/rowboat
bicycle: bike
cat: siamese cat
double-hung window: double-hung window
toilet paper roll: toilet paper dispenser
bath mat: bathmat
futon sofa: futon couch
armchair with an ottoman: armchair ottoman
keyboard: keyboard
folding table: folding table
swimming pool: rectangle swimming pool
DVD player: dvd player
TV stand: tv stand
bookcase with books: full bookcase
garden chair: cafe chair
round garden table: cafe table
wooden bench: concrete bench | wood bank
bench: painted bench
oil bottles: oil servers
plate with a glass and cutlery: plate, glass and cutlery
plate with glasses and cutlery: plate, glasses and cutlery
fluorescent lamp: fluorescent light | fluorescent strip
track lights: track lights
laptop: apple ibook
computer: apple imac 1998 | apple imac 2004
clothes on a rack: hanging clothes
washbasin: small lavatory
sponge: sponge
soap dispenser: soap
clothes: folded clothes
shoes: woman shoes | mocassin
dollhouse: doll house
sock: socket
sofa bed: opened convertible sofa bz
bed with drawers: captain's bed
loft bed: mezzanine bed
mailbox: letters box
faucet: garden faucet
shower head: shower head and faucet
sandbox: sandpit
doorbell: entry bell ring
intercom: entry speech unit | intercom with screen
garden shed: garden hut
ceramic pot: pottery
sushi plate: sushi tray
kitchen tool: kitchen/tool
bar stool: bar chair
tin of sugar: sugar
washing machine: clothes washing machine
clothes dryer: dryer machine
dustpan: kitchen/shovel
juicer: squeezer
roast chicken: roasted chicken
kitchen scale: electronic scale
spice rack: spice tower
grill: stone grill device
cabinet: living room/box
TV: tv 16:9
bean bag chair: puff
round rug: round carpet
projector: video projector
game console: playstation
remote control: tv remote control
game controller: joystick
water heater: electric water heater | gaz water heater
stereo: mini stereo
amplifier: stereo amplifier
folding screen: screen
dartboard: dart game
pinball machine: flipper
exercise bike: indoor bike
drying rack: clothes horse
punching bag: punching ball
stepladder: step ladder
wood stove: furnace
lawn mower: mower
roll of tape: tape
traffic cone: cone
angle grinder: grinder
ashtray: hashtray
banknote: bill 10€ | bill 20€ | bill 50€
wall socket: rounded antenna plug | rounded type a plug | rounded type b plug | rounded type c plug
wall socket: rounded type e plug
wall socket: rounded type g plug | rounded rj45 plug | square antenna plug | square type a plug | square type b plug
wall socket: square type c plug | square type e plug | square type g plug | square rj45 plug
light switch: rounded double switch | rounded switch | square dimmer switch | square double switch | square switch
pliers: cutting pliers
bookcase: office/bookcase
cabinet: office/box
pen: pencil | text marker
desk: desk table
wooden desk: wooden desk
pen holder: penbox
office phone: office/phone
printer: inkjet printer and scanner
double door with panes: double door with panes
double window: double window with large pane | double arched window | double window 3 panes | double window 4 panes
french window: double french window 3 panes | double french window small panes | triple french window
french window: quadruple french window | quadruple french window 3 panes | quadruple french window small panes
front door: exterior door
motorcycle: yamaha yzr r6
scooter: scooter
bus: city bus
truck: truck
"""

# kind: nouns. The class a noun is counted with, a word that is true of each of them. A noun that is in no entry is
# counted by its last word, or by the one before "of".
KINDS = """
tree: trees | pine trees
bush: hedge
log: pile of logs
plant: seedling | cattails | bamboo shoots | bamboo stalk | rice stalk | wheat stalk | wheat | flower stem | lily pad
flower: flower bud | flowers
stump: tree stumps
fish: shark | goblin shark | anglerfish | catfish | lionfish | blobfish | goldfish | clownfish | cowfish | flatfish
fish: piranha
fish: pufferfish | sunfish | swordfish | manta ray
fish skeleton: fish skeleton
animal: alpaca | bull | cow | deer | donkey | horse | husky dog | shiba inu dog | stag | wolf | cat | dog | rabbit
animal: bulldog
animal: frog | rat | snake | chicken | whale | worm | spider | bee | wasp | crab | cartoon rabbit
hot dog: hot dog | corn dog
roast chicken: roast chicken
toy horse: rocking horse
dinosaur: apatosaurus | parasaurolophus | stegosaurus | T-rex | triceratops | velociraptor
person: man | woman | boy | girl | zombie | pirate | cyborg | knight | barbarian | wizard | rogue | astronaut
robot: humanoid robot | robot mech
house: farmhouse | dollhouse | hut | garden shed | house frame | tavern | blacksmith shop | sawmill | storehouse
house: stable
tower: watchtower
mill: windmill | watermill
mountain: mountains
hill: hills
car: taxi | SUV | ambulance
boat: rowboat | sailboat | viking ship | cruise ship | sailing ship | lifeboat | speedboat | raft
chair: armchair
sofa: sofa bed
bed: futon
table: nightstand | desk | workbench
cabinet: wardrobe | chest of drawers | TV stand | locker | dresser
counter: kitchen counter | kitchen island
shelf: bookshelf | bookcase | shelves
lamp: chandelier | lantern | flashlight | ceiling lamp
box: crate | cargo container | round containers | stack of crates | stack of cargo containers | crate lid
mailbox: mailbox
pot: cooking pot
cup: mug
knife: dagger
sword: katana | scimitar
gun: pistol | revolver | shotgun | sawed-off shotgun
rock: rocks | gold ore rock
crystal: gem | crystal cluster
ball: cannonball | basketball
rice ball: rice ball
knife block: knife block
bottle: bottle
door: door
window: window
glass: glass
gingerbread man: gingerbread man
trash can: trash can | wheelie bin | recycling bin
barrel: stack of barrels
coin: stack of coins
plate: stack of plates
book: books
candle: candles
key: bunch of keys
number: number one | number two | number three | number four | number five | number six | number eight | number nine
skull: skull and crossbones
bread: loaf of bread | baguette
corn: ear of corn
cheese: wedge of cheese | wheel of cheese | slices of cheese
path: paved path
burger: cheeseburger
spike: spikes
rug: bath mat | doormat | tatami mat
air conditioner: air conditioner
space station: space base module | space base
turret: gun turret
wall socket: wall socket
washing machine: washing machine | clothes dryer
tank: tank
fuel tank: fuel tank | propane tank
statue: deer statue
tower roof: tower roof
sink: washbasin
dirt block: dirt block | grass block
ice cream: ice cream cone | ice cream cup | scoop of ice cream | popsicle | sundae
"""

# noun: other names of the same thing, true of whatever the noun is said of.
SYNONYMS = """
sofa: couch | settee
armchair: easy chair | chair
office chair: desk chair | swivel chair
chair: seat
lounge chair: sun lounger | deck chair
stool: seat
bar stool: high stool
nightstand: bedside table | night table
desk: writing desk
coffee table: low table
chest of drawers: dresser | sideboard
wardrobe: closet | armoire
cabinet: cupboard
kitchen cabinet: kitchen cupboard | cupboard
bookcase: bookshelf
bookshelf: bookcase
fridge: refrigerator
stove: cooker | kitchen stove
oven: kitchen oven
cooktop: hob | stovetop
kitchen counter: counter | worktop
range hood: extractor hood
faucet: tap | water tap
washbasin: sink | bathroom sink
toilet: WC
bathtub: bath | tub
trash can: bin | garbage can | dustbin
wheelie bin: trash can | garbage bin
rug: carpet
ceiling lamp: hanging lamp | ceiling light
desk lamp: reading lamp
floor lamp: standing lamp
table lamp: bedside lamp
street lamp: street light | lamp post
flashlight: torch light
smartphone: mobile phone | phone | cell phone
TV: television | TV set
laptop: laptop computer | notebook computer
computer: desktop computer
picture frame: photo frame
wall socket: power outlet | electrical socket
light switch: switch
curtains: drapes
cooking pot: pot | saucepan
frying pan: pan | skillet
mug: cup
cutting board: chopping board
bottle: flask
potion bottle: potion | flask | magic potion
crate: box | storage crate
cardboard box: carton
treasure chest: chest
barrel: keg | cask
sack: bag
sword: blade
axe: hatchet
bow: archer's bow
pistol: handgun | gun
revolver: gun | six-shooter
shotgun: gun
blaster gun: blaster | ray gun
shield: knight's shield
banner: hanging banner | wall banner
rock: stone | boulder
rocks: stones
mountain: mountain peak
log: wooden log
bush: shrub
pine tree: fir tree | conifer | evergreen tree | pine
birch tree: birch
willow tree: willow
palm tree: palm
trees: group of trees | forest
pine trees: forest | group of fir trees
grass: tuft of grass | clump of grass
potted plant: houseplant | plant in a pot | plant
potted cactus: cactus in a pot | cactus
seedling: sprout | young plant
mushroom: toadstool
lily pad: water lily leaf
flower: blossom
cactus: desert cactus
pumpkin: gourd
jack-o'-lantern: carved pumpkin | halloween pumpkin
campfire: bonfire
cloud: fluffy cloud
lightning bolt: thunderbolt
crystal: gem | gemstone
gem: gemstone | jewel | crystal
ring: finger ring
breastplate: body armor | chest armor
gravestone: tombstone | headstone
car: automobile
taxi: cab
SUV: car
race car: racing car
van: minivan
truck: lorry
fire truck: fire engine
motorcycle: motorbike
bicycle: bike
rowboat: boat | wooden boat
sailboat: sailing boat
sailing ship: ship | pirate ship
spaceship: spacecraft | starship
robot: droid
humanoid robot: robot | battle robot
robot mech: mech | walking robot
astronaut: spaceman
alien: alien creature | monster
wizard: mage
man: person
woman: person
boy: child
girl: child
husky dog: husky | dog
shiba inu dog: shiba inu | dog
bulldog: dog
stag: deer
bull: ox
house: home
hut: cabin
tower: fortress tower
watchtower: lookout tower
castle: fortress
sawmill: lumber mill
tavern: inn | pub
blacksmith shop: smithy | forge
market stall: market stand
garden shed: shed
wheelbarrow: garden cart
fire hydrant: hydrant
traffic light: traffic signal
mailbox: letter box
donut: doughnut
french fries: fries | chips
burger: hamburger
hot dog: hotdog
loaf of bread: bread
wedge of cheese: cheese
wheel of cheese: cheese
ear of corn: corn | corn on the cob
bell pepper: pepper
cookie: biscuit
soda can: drink can
tin can: can | food can
space base module: space habitat | space station module
cargo container: container
moon lander: lunar module
space rover: moon rover
solar panels: solar panel array
french window: glass door
spike trap: trap
bear trap: animal trap
gun turret: turret | defense turret
"""

# words: kinds. Wider words that are true of every shape of the kind.
GENERAL = """
piece of furniture: chair | stool | table | sofa | bed | cabinet | shelf | bench
weapon: sword | axe | gun | bow | crossbow | spear | club | cannon
vehicle: car | truck | van | bus | tank | tractor | motorcycle | forklift
building: house | tower | castle | mill | church | temple | barracks
plant: bush | flower | cactus | tree
fruit: apple | lemon | pear | banana | watermelon | strawberry | pineapple | coconut | orange
vegetable: carrot | cabbage | broccoli | cauliflower | leek | radish | beet | potato | onion | lettuce
light: lamp
container: box | barrel | bottle | jar
reptile: dinosaur
piece of kitchenware: pot | pan | plate | bowl | cup
"""

# What words are. noise: says nothing of a shape whose scale is unknown and whose colour is measured. modifier: stands
# before a colour. material: stands after it. mass: nouns without an article.
WORDS = """
noise: first | second | age | level | leve | lvl | small | large | medium | big | little | single | multi | modular
noise: handed | scpts | poly | red | orange | yellow | green | blue | purple | pink | brown | black | white | grey
noise: gray | golden
modifier: round | square | rectangular | oval | open | closed | broken | empty | full | double | single | dead
modifier: snowy | mossy | autumn | lit | burning | melted | stacked | hanging | standing | sitting | lying | arched
modifier: spiked | spiky | crushed | dented | cooked | raw | burnt | fried | sliced | chopped | mashed | grilled
modifier: halved | half-open | low-backed | two-bladed | two-story | three-story | four-story | six-story
modifier: one-story | flowering | alien | medieval | modern | old | ruined | wrecked | hooded | folded | inflatable
modifier: grassy | striped | tall-backed | L-shaped
material: wooden | stone | metal | golden | leather | glass | concrete | brick | iron | plastic | cardboard | rattan
mass: grass | bamboo | bacon | bread | butter | milk | hay | wheat | rice | lettuce | broccoli | cauliflower
mass: celery | sugar | honey | salad | soap | rubble | lumber | ketchup | mustard | meat | smoke | sushi
mass: chocolate | cream | cheese | armor | tape | ham | rope | scaffolding | sauerkraut | stew
singular: tennis | news | gas | lens | triceratops
"""
